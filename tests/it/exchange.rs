//! Messages in, Tasks and notifications out: the exchange over a real store, providers configured as in a file.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use silta::clock::Clock;
use silta::exchange::mllp::{Handler, Peer};
use silta::exchange::{Exchange, MessageHandler, Parts};
use silta::provider::registry::Config as ProviderConfig;
use silta::provider::{Random, Registry, Setup};
use silta::store::{self, IdentifierQuery, NoFaults, OutboxId, ResourceKey, Store};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::mapping::Maps;
use silta_engine::validation::Validator;

pub(crate) const PROVIDERS: &str = r#"
[hospital]
mode = "test"
organisations = ["urn:oid:1.2.246.537.6.202|1.2.246.10.99999001.10.0"]
[hospital.map]
task = "ref-i12"
answers = true
time_zone = "Europe/Helsinki"
identifier_types = { NNFIN = "urn:oid:1.2.246.21" }
facilities = { ASIAKASOHJAUS = "urn:oid:1.2.246.537.6.202|1.2.246.10.99999002.10.0" }
[county]
mode = "test"
organisations = ["urn:oid:1.2.246.537.6.202|1.2.246.10.99999002.10.0"]
"#;

pub(crate) struct Site {
    pub(crate) exchange: Exchange,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn with(providers: &str) -> Self {
        Self::knowing(providers, silta::exchange::Config::default())
    }

    /// A site where persons are known as the configuration says.
    pub(crate) fn knowing(providers: &str, exchange: silta::exchange::Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual("2026-03-02T08:00:00Z".parse::<Timestamp>().unwrap());
        let config = store::Config { folder: folder.path().join("store"), ..store::Config::default() };
        let fill = |bytes: &mut [u8]| {
            bytes.fill(7);
            Ok(())
        };
        let store = Store::open(config, clock.clone(), &fill, Arc::new(NoFaults)).unwrap();
        let providers: std::collections::BTreeMap<String, ProviderConfig> = toml::from_str(providers).unwrap();
        let metrics = silta::provider::metrics::Metrics::register(&prometheus::Registry::new()).unwrap();
        let setup = Setup {
            folder: folder.path(),
            clock: clock.clone(),
            random: Random::seeded(1),
            metrics: &metrics,
            schema: &|_| None,
        };
        let registry = Arc::new(Registry::build(&providers, &setup).unwrap_or_else(|errors| panic!("{errors:?}")));
        let parts = Parts {
            clock: clock.clone(),
            random: Random::seeded(2),
            store: store.clone(),
            registry,
            maps: Arc::new(Maps::embedded(Model::r4())),
            validator: Arc::new(Validator::built_in()),
            secret: vec![1; 32],
        };
        let exchange = Exchange::new(&exchange, parts).unwrap();
        Self { exchange, store, clock, _folder: folder }
    }

    /// Hands a message to the exchange as the hospital's listener does, and gives the reply's segments.
    pub(crate) async fn hospital(&self, message: &str) -> Vec<String> {
        let peer = Peer {
            provider: "hospital".into(),
            address: "127.0.0.1:1".parse().unwrap(),
            certificate: None,
            connection: 1,
        };
        let bytes = Bytes::from(message.replace('\n', "\r").into_bytes());
        let reply = MessageHandler::new(self.exchange.clone()).handle(bytes, &peer).await;
        let text = reply.messages.iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect::<String>();
        text.split_terminator('\r').map(str::to_owned).collect()
    }

    pub(crate) async fn resource(&self, kind: &str, identifier: &str) -> Arc<Document> {
        let (kind, value) = (kind.to_owned(), identifier.to_owned());
        let member = self
            .store
            .read(move |view| {
                let found = view.identified(&kind, &IdentifierQuery { system: None, value })?;
                assert_eq!(found.len(), 1, "{kind} of this identifier");
                view.member(&ResourceKey::new(kind, found[0].clone()))
            })
            .await
            .unwrap()
            .unwrap();
        Document::from_json(Model::r4(), member.resource.content.to_vec(), &Limits::default()).unwrap()
    }

    pub(crate) async fn notices(&self) -> Vec<(String, String)> {
        let notices = self.store.read(|view| view.open_notices(silta::store::NoticeId::from_number(0), 100)).await;
        notices.unwrap().into_iter().map(|notice| (notice.kind, notice.text)).collect()
    }
}

fn referral(control: &str) -> String {
    format!(
        "MSH|^~\\&|EPR|KESKUSSAIRAALA|SILTA|ASIAKASOHJAUS|20260302091400+0200||REF^I12^REF_I12|{control}|T|2.5.1|||AL|AL||8859/1\n\
         RF1|P^Pending^HL70283|A^ASAP^HL70280|Hom^Home Care^HL70281|||REF-88231^EPR^1.2.246.10.99999001.30.1^ISO|20260302||20260302091400+0200\n\
         PRD|RP|Lääkäri^Liisa||^^^Keskussairaala|||\n\
         PRD|RT||^^^^^||||||^\n\
         PID|1||140347-9120^^^VRK&1.2.246.21&ISO^NNFIN~4711^^^EPR&1.2.246.10.99999001.20.1&ISO^PI||Koivisto-Näyte^Aino^Maria||19470314|F|||Mäntytie 4^^Tampere^^33100^FIN||+358405550142\n\
         DG1|1||S72.0^Reisiluun kaulan murtuma^ICD10||20260227|A\n\
         OBR|1|||18842-5^Discharge summary^LN|||20260302\n\
         OBX|1|ED|18842-5^Discharge summary^LN||^application^pdf^Base64^JVBERi0xLjQK||||||F\n"
    )
}

mod bad_input;
mod coordination;
mod denmark;
mod directory;
mod orders;
mod profiles;
mod provenance;
mod sweden;

#[tokio::test]
async fn a_referral_is_kept_translated_and_acknowledged_once() {
    let site = Site::with(PROVIDERS);
    let reply = site.hospital(&referral("M1")).await;
    println!("{reply:#?} {:?}", site.notices().await);
    assert!(reply[1].starts_with("MSA|CA|M1"), "{reply:?}");
    assert!(reply[0].contains("|ACK^I12^ACK|"), "{reply:?}");
    let order = site.resource("ServiceRequest", "REF-88231").await;
    println!("{}", order.json());
    assert_eq!(order.root().text_at("status"), Some("active"));
    assert_eq!(order.root().text_at("priority"), Some("asap"));
    assert_eq!(order.root().text_at("meta.versionId"), Some("1"));
    let task = {
        let id = order.root().text_at("id").unwrap().to_owned();
        site.store.read(move |view| view.member(&ResourceKey::new("Task", id))).await.unwrap()
    };
    let task = task.expect("the Task has the order's id");
    println!("{}", String::from_utf8_lossy(&task.resource.content));
    let again = site.hospital(&referral("M1")).await;
    assert_eq!(again, reply, "a resent message gets the same acknowledgement");
    let changed = site.hospital(&referral("M1").replace("20260302||", "20260303||")).await;
    assert!(changed[1].starts_with("MSA|CE|M1"), "{changed:?}");
    let dead = site.store.read(|view| view.dead(OutboxId::from_number(0), 10)).await.unwrap();
    assert!(dead.is_empty());
    assert_eq!(site.clock.sleepers(), 0);
}

#[tokio::test]
async fn what_is_said_of_no_patient_in_particular_is_refused_naming_the_place() {
    let site = Site::with(PROVIDERS);
    let identified = "140347-9120^^^VRK&1.2.246.21&ISO^NNFIN~4711^^^EPR&1.2.246.10.99999001.20.1&ISO^PI";
    let message = referral("M2").replace(identified, "").replace("|||AL|AL||", "|||||||");
    let reply = site.hospital(&message).await;
    assert!(reply[1].starts_with("MSA|AE|M2"), "{reply:?}");
    assert!(reply[2].starts_with("ERR||PID^1^3"), "{reply:?}");
    assert!(reply[2].contains("|101^"), "{reply:?}");
    assert_eq!(site.notices().await.first().map(|(kind, _)| kind.as_str()), Some("refused"));
}
