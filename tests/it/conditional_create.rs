//! Conditional creates that come at one time make one resource between them.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use silta::exchange::Origin;
use silta::store::IdentifierQuery;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};

use crate::exchange::{PROVIDERS, Site};

const ADMISSION: &str = "MSH|^~\\&|EPR|KESKUSSAIRAALA|SILTA|ASIAKASOHJAUS|20260302091400+0200||ADT^A01^ADT_A01|A1|T|2.5.1|||AL|NE||UNICODE UTF-8\n\
EVN||20260302091400+0200\n\
PID|1||4711^^^EPR&1.2.246.10.99999001.20.1&ISO^PI||Koivisto-Näyte^Aino^Maria||19470314|F\n\
PV1|1|I\n";

#[tokio::test]
async fn conditional_creates_at_one_time_make_one_order() {
    let site = Site::with(PROVIDERS);
    let reply = site.hospital(ADMISSION).await;
    assert!(reply[1].starts_with("MSA|CA|"), "{reply:?}");
    let patient = site.resource("Patient", "4711").await;
    let order = json!({"resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "identifier": [{"system": "urn:orders", "value": "77"}],
        "code": {"text": "home rehabilitation"},
        "subject": {"reference": format!("Patient/{}", patient.root().text_at("id").unwrap())},
        "performer": [{"identifier": {"system": "urn:oid:1.2.246.537.6.202", "value": "1.2.246.10.99999002.10.0"}}]});
    let create = |number: usize| {
        let (exchange, now, text) = (site.exchange.clone(), site.clock.now(), order.to_string());
        tokio::spawn(async move {
            let document = Document::from_json(Model::r4(), text.into_bytes(), &Limits::default()).unwrap();
            let query = IdentifierQuery { system: Some(Some("urn:orders".to_owned())), value: "77".to_owned() };
            let origin = Origin {
                caller: "county".to_owned(),
                organisations: Vec::new(),
                request: format!("r{number}"),
                received: now,
                test: true,
            };
            exchange.create_order(Arc::clone(&document), Some(query), &origin).await
        })
    };
    let made: Vec<_> = join_all((0..16).map(create)).await.into_iter().map(|one| one.unwrap().unwrap()).collect();
    assert_eq!(made.iter().filter(|one| !one.existed).count(), 1, "one made it and the others found it");
    assert!(made.iter().all(|one| one.key == made[0].key && one.version == 1));
    let ids = site
        .store
        .read(|view| view.identified("ServiceRequest", &IdentifierQuery { system: None, value: "77".to_owned() }));
    assert_eq!(ids.await.unwrap().len(), 1);
}
