//! Who may call, by what, and what each may do.

use silta::access::authority::Authority;
use silta::access::callers::{Callers, CallersError};
use silta::access::config::Config;
use silta::access::interaction::{Action, Grant, GrantError, Grants, ResourceType};
use silta::access::secret::{SecretHash, secret};
use silta::access::tls::Tls;
use silta::clock::Clock;
use silta::gateway::listener::PROTOCOLS;

use crate::support::gateway::{Answer, Plan, care_plan, county_secret, reader_secret, usual_callers};
use crate::support::time::soon;
use crate::support::tls::Authority as Foreign;

#[tokio::test]
async fn a_caller_is_known_by_its_secret_or_its_certificate_and_by_nothing_else() {
    let site = Plan::new(|request| async move {
        let mut response = care_plan();
        response.location = Some(request.caller.name.clone());
        Ok(response)
    })
    .start()
    .await;
    let url = site.url("/CarePlan/1");
    let by_secret = Answer::to(site.county().get(&url)).await;
    assert_eq!((by_secret.status, by_secret.header("location")), (200, &*site.url("/county")));
    let certificate = site.certificate("client");
    let by_certificate = Answer::to(site.caller(|caller| caller.identity(certificate)).get(&url)).await;
    assert_eq!((by_certificate.status, by_certificate.header("location")), (200, &*site.url("/hospital")));
    let certificate = site.certificate("client");
    let both = site.caller(|caller| caller.identity(certificate));
    let both = Answer::to(both.get(&url).header("authorization", format!("bearer {}", county_secret()))).await;
    assert_eq!(both.header("location"), site.url("/county"), "a secret says who calls, whatever the connection shows");
}

#[tokio::test]
async fn without_credentials_or_with_wrong_ones_the_answer_is_401() {
    let site = Plan::usual().start().await;
    let stranger = site.caller(|caller| caller);
    let url = site.url("/CarePlan/1");
    let none = Answer::to(stranger.get(&url)).await;
    assert_eq!(none.issue(), (401, "error".to_owned(), "login".to_owned()));
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"silta\"");
    let mut changed = county_secret();
    changed.replace_range(10..11, if changed.as_bytes()[10] == b'A' { "B" } else { "A" });
    for wrong in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer guess".to_owned(),
        "Basic Y291bnR5OnNlY3JldA==".to_owned(),
        format!("Bearer {changed}"),
        format!("Bearer {}", secret([9; 32])),
        format!("Bearer {}x", county_secret()),
        format!("Bearer {} {}", county_secret(), county_secret()),
        county_secret(),
    ] {
        let answer = Answer::to(stranger.get(&url).header("authorization", &wrong)).await;
        assert_eq!(answer.issue(), (401, "error".to_owned(), "unknown".to_owned()), "{wrong}");
        assert!(answer.header("www-authenticate").contains("invalid_token"));
        let statement = Answer::to(stranger.get(site.url("/metadata")).header("authorization", &wrong)).await;
        assert_eq!(statement.status, 401, "wrong credentials are wrong even where none are needed");
    }
    let twice = stranger
        .get(&url)
        .header("authorization", format!("Bearer {}", county_secret()))
        .header("authorization", format!("Bearer {}", reader_secret()));
    assert_eq!(Answer::to(twice).await.status, 401);
    let unknown = Answer::to(stranger.get(site.url("/Observation/1"))).await;
    assert_eq!(unknown.issue().2, "login", "a stranger does not learn what is served");
}

#[tokio::test]
async fn a_caller_may_do_what_is_on_its_list_and_nothing_else() {
    let site = Plan::usual().start().await;
    let reader = site.bearing(&reader_secret());
    assert_eq!(Answer::to(reader.get(site.url("/CarePlan/1"))).await.status, 200);
    for (method, path) in [
        ("GET", "/CarePlan"),
        ("POST", "/CarePlan/_search"),
        ("GET", "/CarePlan/1/_history/1"),
        ("POST", "/CarePlan"),
        ("PUT", "/CarePlan/1"),
        ("DELETE", "/CarePlan/1"),
        ("GET", "/Binary/1"),
        ("GET", "/Observation/1"),
        ("POST", "/"),
        ("GET", "/"),
        ("POST", "/CarePlan/$validate"),
    ] {
        let answer = Answer::to(reader.request(method.parse().unwrap(), site.url(path))).await;
        assert_eq!(answer.issue(), (403, "error".to_owned(), "forbidden".to_owned()), "{method} {path}");
    }
    assert_eq!(Answer::to(reader.get(site.url("/metadata"))).await.status, 200);
}

#[tokio::test]
async fn a_certificate_of_another_authority_does_not_get_through_the_handshake() {
    let site = Plan::usual().start().await;
    let foreign = Foreign::new();
    let issued = foreign.issue("client");
    let mut pem = std::fs::read(foreign.folder().join(&issued.certificate)).unwrap();
    pem.extend(std::fs::read(foreign.folder().join(&issued.key)).unwrap());
    let identity = reqwest::Identity::from_pem(&pem).unwrap();
    let caller = site.caller(|caller| caller.identity(identity));
    assert!(soon(caller.get(site.url("/metadata")).send()).await.is_err());
    assert_eq!(Answer::to(site.county().get(site.url("/CarePlan/1"))).await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_is_nobodys_is_not_known() {
    let site = Plan::usual().start().await;
    let authority = Authority::open(site.folder.path(), &Clock::system()).unwrap();
    authority.client("somebody", &Clock::system()).unwrap();
    let identity = site.certificate("somebody");
    let caller = site.caller(|caller| caller.identity(identity));
    let answer = Answer::to(caller.get(site.url("/CarePlan/1"))).await;
    assert_eq!(answer.issue(), (401, "error".to_owned(), "unknown".to_owned()));
}

#[tokio::test]
async fn a_caller_with_both_configured_must_show_both() {
    let mut plan = Plan::usual();
    let hash = SecretHash::of(&county_secret()).unwrap().text();
    plan.access = toml::from_str(&format!(
        "[caller.bound]\nsecret_hash = [\"{hash}\"]\ncertificate_subject = [\"CN=client\"]\ninteractions = [\"*.read\"]"
    ))
    .unwrap();
    let site = plan.start().await;
    let url = site.url("/CarePlan/1");
    let shows = |secret: bool, certificate: bool| {
        let identity = site.certificate("client");
        let caller = site.caller(|caller| if certificate { caller.identity(identity) } else { caller });
        let request = caller.get(&url);
        Answer::to(if secret { request.bearer_auth(county_secret()) } else { request })
    };
    assert_eq!(shows(true, true).await.status, 200);
    assert_eq!(shows(true, false).await.status, 401);
    assert_eq!(shows(false, true).await.status, 401);
    assert_eq!(shows(false, false).await.status, 401);
}

#[tokio::test]
async fn a_fingerprint_names_one_certificate_alone() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let authority = Authority::open(folder.path(), &clock).unwrap();
    let issued = authority.client("client", &clock).unwrap();
    let other = authority.client("other", &clock).unwrap();
    let read = |path: &std::path::Path| {
        use rustls::pki_types::pem::PemObject;
        let der = rustls::pki_types::CertificateDer::from_pem_file(path).unwrap();
        silta::access::certificate::PeerCertificate::read(&[der]).unwrap()
    };
    let (own, other) = (read(&issued.certificate), read(&other.certificate));
    assert_eq!((&*own.subject, &own.names[..]), ("CN=client", &["client".to_owned()][..]));
    let colons: Vec<String> = own.fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    let config: Config = toml::from_str(&format!(
        "[caller.one]\ncertificate_fingerprint = [\"{}\"]\ninteractions = [\"*\"]",
        colons.join(":")
    ))
    .unwrap();
    let callers = Callers::new(&config).unwrap();
    assert_eq!(callers.identify(Some(&own), None, clock.now()).unwrap().name, "one");
    assert!(callers.identify(Some(&other), None, clock.now()).is_err());
    let later = "2200-01-01T00:00:00Z".parse().unwrap();
    let expired = callers.identify(Some(&own), None, later).unwrap_err();
    assert_eq!(expired.fault(), silta_engine::fault::Fault::ExpiredCredentials);
}

#[tokio::test]
async fn what_is_revoked_by_a_reload_is_revoked_on_open_connections() {
    let site = Plan::usual().start().await;
    let url = site.url("/CarePlan/1");
    let identity = site.certificate("client");
    let (county, hospital) = (site.county(), site.caller(|caller| caller.identity(identity)));
    assert_eq!(Answer::to(county.get(&url)).await.status, 200);
    assert_eq!(Answer::to(hospital.get(&url)).await.status, 200);
    let foreign = Foreign::new();
    let tls = silta::access::tls::Config {
        client_ca: Some(foreign.folder().join("ca.pem")),
        ..silta::access::tls::Config::default()
    };
    let mut access = usual_callers();
    access.caller.remove("county");
    site.replace(&access, &tls);
    assert_eq!(Answer::to(county.get(&url)).await.issue().2, "unknown", "the secret is nobody's any more");
    assert_eq!(Answer::to(hospital.get(&url)).await.issue().2, "login", "its authority is not trusted any more");
    site.replace(&usual_callers(), &silta::access::tls::Config::default());
    assert_eq!(Answer::to(county.get(&url)).await.status, 200);
    assert_eq!(Answer::to(hospital.get(&url)).await.status, 200);
}

#[tokio::test]
async fn open_to_everyone_is_only_for_loopback_and_still_refuses_wrong_credentials() {
    let mut plan = Plan::usual();
    plan.access = toml::from_str("open = true").unwrap();
    let site = plan.start().await;
    let url = site.url("/CarePlan/1");
    assert_eq!(Answer::to(site.caller(|caller| caller).get(&url)).await.status, 200);
    assert_eq!(Answer::to(site.county().get(&url)).await.status, 401);
    let open = Callers::new(&toml::from_str("open = true").unwrap()).unwrap();
    assert!(open.allow_listening_on("127.0.0.1:1".parse().unwrap()).is_ok());
    assert!(open.allow_listening_on("[::1]:1".parse().unwrap()).is_ok());
    let world = "0.0.0.0:1".parse().unwrap();
    assert_eq!(open.allow_listening_on(world), Err(CallersError::OpenToTheWorld(world)));
    let nobody = Callers::new(&Config::default()).unwrap();
    assert_eq!(nobody.allow_listening_on("127.0.0.1:1".parse().unwrap()), Err(CallersError::Nobody));
    let known = Callers::new(&usual_callers()).unwrap();
    assert!(known.allow_listening_on(world).is_ok());
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused_by_its_key() {
    let hash = SecretHash::of(&secret([1; 32])).unwrap().text();
    let other = SecretHash::of(&secret([2; 32])).unwrap().text();
    let print = "ab".repeat(32);
    for (text, key) in [
        ("[caller.'a b']\ninteractions = ['*']".to_owned(), "access.caller.a b"),
        ("[caller.a]\ninteractions = ['*']".to_owned(), "access.caller.a"),
        ("[caller.a]\nsecret_hash = ['x']\ninteractions = ['*']".to_owned(), "access.caller.a.secret_hash"),
        (
            format!("[caller.a]\nsecret_hash = ['{}']\ninteractions = ['*']", secret([1; 32])),
            "access.caller.a.secret_hash",
        ),
        (
            "[caller.a]\ncertificate_fingerprint = ['ab']\ninteractions = ['*']".to_owned(),
            "access.caller.a.certificate_fingerprint",
        ),
        (format!("[caller.a]\nsecret_hash = ['{hash}']"), "access.caller.a.interactions"),
        (
            format!("[caller.a]\nsecret_hash = ['{hash}']\ninteractions = ['Careplan.read']"),
            "access.caller.a.interactions",
        ),
        (
            format!(
                "[caller.a]\nsecret_hash = ['{hash}']\ninteractions = ['*']\n[caller.b]\nsecret_hash = ['{other}', '{hash}']\ninteractions = ['*']"
            ),
            "access.caller.a.secret_hash",
        ),
        (
            format!(
                "[caller.a]\ncertificate_fingerprint = ['{print}']\ninteractions = ['*']\n[caller.b]\ncertificate_fingerprint = ['{print}']\ninteractions = ['*']"
            ),
            "access.caller.a.certificate_fingerprint",
        ),
    ] {
        let config: Config = toml::from_str(&text).unwrap();
        let error = Callers::new(&config).unwrap_err();
        assert_eq!(error.key(), key, "{text}: {error}");
        assert!(!error.to_string().contains(&secret([1; 32])), "a secret is not said again: {error}");
    }
}

#[test]
fn a_grant_is_a_type_and_an_interaction() {
    let care_plan = ResourceType::named("CarePlan");
    let task = ResourceType::named("Task");
    let permits = |text: &str, action, kind, operation| {
        Grants::new(vec![text.parse::<Grant>().unwrap()]).permit(action, kind, operation)
    };
    assert!(permits("CarePlan.search", Action::Search, care_plan, None));
    assert!(!permits("CarePlan.search", Action::Read, care_plan, None));
    assert!(!permits("CarePlan.search", Action::Search, task, None));
    assert!(!permits("CarePlan.search", Action::Search, None, None), "the whole system is more than one type");
    assert!(permits("*.search", Action::Search, None, None));
    assert!(permits("*.read", Action::Read, task, None) && !permits("*.read", Action::VersionRead, task, None));
    assert!(permits("Task.*", Action::Delete, task, None) && !permits("Task.*", Action::Delete, care_plan, None));
    assert!(permits("*", Action::Batch, None, None) && permits("*.batch", Action::Batch, None, None));
    assert!(permits("Task.$apply", Action::Operation, task, Some("$apply")));
    assert!(!permits("Task.$apply", Action::Operation, task, Some("$other")));
    let wrong = |text: &str| text.parse::<Grant>().unwrap_err();
    assert!(matches!(wrong("CarePlan"), GrantError::Shape(_)));
    assert!(matches!(wrong("Resource.read"), GrantError::Type(_)));
    assert!(matches!(wrong("CarePlan.operation"), GrantError::Interaction(_)));
    assert!(matches!(wrong("CarePlan.$"), GrantError::Interaction(_)));
    assert_eq!(ResourceType::all().count(), 146, "the resource types of R4 that there can be a resource of");
}

#[test]
fn the_development_authority_is_made_once_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let clock = Clock::manual("2026-02-03T08:00:00Z".parse().unwrap());
    let make = |names: &[&str]| {
        let config = silta::access::tls::Config {
            development_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..silta::access::tls::Config::default()
        };
        Tls::new(&config, folder.path(), &state, &PROTOCOLS, &clock).unwrap();
        let read = |name: &str| std::fs::read_to_string(state.join(name)).unwrap();
        (read("ca.pem"), read("server.pem"), read("client.pem"))
    };
    let first = make(&[]);
    for (name, mode) in
        [("", 0o700), ("ca.key", 0o600), ("server.key", 0o600), ("client.key", 0o600), ("ca.pem", 0o644)]
    {
        use std::os::unix::fs::PermissionsExt;
        let found = std::fs::metadata(state.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }
    assert_eq!(make(&[]), first);
    let named = make(&["gateway.example", "10.0.0.7"]);
    assert_eq!((&named.0, &named.2), (&first.0, &first.2));
    assert_ne!(named.1, first.1, "another name needs another certificate");
    assert_eq!(make(&["10.0.0.7"]), named, "a certificate with more names will do");
    clock.advance(std::time::Duration::from_secs(86_400 * 380));
    let renewed = make(&[]);
    assert_eq!(renewed.0, first.0);
    assert!(renewed.1 != named.1 && renewed.2 != first.2, "what is about to expire is made anew");
    std::fs::remove_file(state.join("ca.key")).unwrap();
    let error =
        Tls::new(&silta::access::tls::Config::default(), folder.path(), &state, &PROTOCOLS, &clock).unwrap_err();
    assert!(error.to_string().contains("ca.key is missing"), "{error}");
    std::fs::remove_file(state.join("ca.pem")).unwrap();
    let anew = make(&[]);
    assert!(anew.0 != first.0 && anew.1 != renewed.1, "a new authority signs everything anew");
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Foreign::new(), Foreign::new());
    let (issued, other) = (one.issue("one"), two.issue("two"));
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let at = |authority: &Foreign, file: &std::path::Path| Some(authority.folder().join(file));
    let config = |certificate, key, client_ca| silta::access::tls::Config {
        certificate,
        key,
        client_ca,
        ..silta::access::tls::Config::default()
    };
    let clock = Clock::system();
    let of = |config: &silta::access::tls::Config| {
        Tls::new(config, folder.path(), folder.path(), &PROTOCOLS, &clock).map_err(|error| error.key())
    };
    let (certificate, key) = (at(&one, &issued.certificate), at(&one, &issued.key));
    assert!(of(&config(certificate.clone(), key.clone(), None)).is_ok());
    assert_eq!(of(&config(certificate.clone(), None, None)).unwrap_err(), "tls");
    assert_eq!(of(&config(Some("absent.pem".into()), key.clone(), None)).unwrap_err(), "tls.certificate");
    assert_eq!(of(&config(Some("empty.pem".into()), key.clone(), None)).unwrap_err(), "tls.certificate");
    assert_eq!(of(&config(certificate.clone(), Some("empty.pem".into()), None)).unwrap_err(), "tls.key");
    assert_eq!(of(&config(certificate.clone(), at(&two, &other.key), None)).unwrap_err(), "tls.certificate");
    assert_eq!(of(&config(certificate, key, Some("empty.pem".into()))).unwrap_err(), "tls.client_ca");
    assert!(
        std::fs::read_dir(folder.path()).unwrap().count() == 1,
        "nothing is made where certificates are configured"
    );
}

#[test]
fn a_secret_is_known_by_its_hash_alone() {
    let one = secret([1; 32]);
    assert!(one.starts_with("silta_") && one.len() == 49, "{one}");
    let hash = SecretHash::of(&one).unwrap();
    assert_eq!(SecretHash::parse(&hash.text()).unwrap(), hash);
    assert!(hash.matches(&SecretHash::of(&one).unwrap()));
    assert!(!hash.matches(&SecretHash::of(&secret([2; 32])).unwrap()));
    for text in ["", "silta_", "password", &one[6..], &format!("{one}="), &one.to_uppercase()] {
        assert!(SecretHash::of(text).is_none(), "{text}");
    }
    for text in ["", "sha256:", &hash.text()[7..], &hash.text().replace('a', "g"), &hash.text()[..70]] {
        assert!(SecretHash::parse(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_audit_in_the_store_has_a_row_for_each_person_and_a_hash_for_a_query() {
    use silta::access::audit::{Audit, Entry, ToStore};
    use silta::store::{AuditSeq, AuditTarget, Chain, Commit, Config, Evidence, NoFaults, Store};
    let folder = tempfile::tempdir().unwrap();
    let config = Config { folder: folder.path().join("store"), ..Config::default() };
    let clock = Clock::system();
    let random = |bytes: &mut [u8]| {
        bytes.fill(5);
        Ok(())
    };
    let store = Store::open(config, clock.clone(), &random, std::sync::Arc::new(NoFaults)).unwrap();
    let mut commit = Commit::new();
    for native in ["one", "two"] {
        let _ = commit.person([Evidence::Patient { provider: "hospital".into(), native: native.into() }]);
    }
    let persons = store.commit(commit).await.unwrap().receipt().unwrap().persons;
    let audit = ToStore(store.clone());
    let entry = |id: Option<&str>, parameters: &[(&str, &str)], persons: &[silta::store::PersonId]| Entry {
        time: clock.now(),
        caller: Some("county".to_owned()),
        request: "r-1".to_owned(),
        action: Some(if id.is_some() { Action::Read } else { Action::Search }),
        resource_type: ResourceType::named("CarePlan"),
        id: id.map(str::to_owned),
        parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        persons: persons.to_vec(),
        providers: vec!["hospital".to_owned()],
        outcome: "success",
    };
    audit.record(entry(Some("1"), &[], &persons[..1])).await.unwrap();
    let (status, code) = (("status", "active"), ("patient.identifier", "urn:oid:1.2.246.21|010190-900X"));
    audit.record(entry(None, &[status, code], &persons)).await.unwrap();
    audit.record(entry(None, &[code, status], &[])).await.unwrap();
    let rows = store.read(|view| view.audit_after(AuditSeq::from_number(0), 10)).await.unwrap();
    let seen: Vec<(&str, &str, bool)> =
        rows.iter().map(|row| (&*row.who, &*row.interaction, row.person.is_some())).collect();
    assert_eq!(
        seen,
        [
            ("county", "read", true),
            ("county", "search-type", true),
            ("county", "search-type", true),
            ("county", "search-type", false)
        ]
    );
    assert!(matches!(&rows[0].target, AuditTarget::Resource(key) if key.resource_type == "CarePlan" && key.id == "1"));
    assert_eq!(rows[1].target, rows[3].target, "the order of parameters does not matter");
    assert!(matches!(&rows[1].target, AuditTarget::Query { resource_type, .. } if resource_type == "CarePlan"));
    assert!(matches!(store.verify_chain(None).await.unwrap(), Chain::Whole(Some(_))));
    store.close().await;
    assert!(audit.record(entry(Some("1"), &[], &[])).await.is_err(), "a closed store takes no audit");
    for file in std::fs::read_dir(folder.path().join("store")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"010190-900X"), "the code stands nowhere");
    }
}
