//! Organisations, places and professionals that a message tells of without a number of the sender's own.

use std::collections::BTreeSet;

use silta::store::Member;

use super::{PROVIDERS, Site, referral};

/// The referral with another number, of a professional who has one herself (PRD-7) at the hospital.
fn another(number: &str, professional: &str) -> String {
    referral(&format!("M-{number}")).replace("REF-88231", number).replace(
        "PRD|RP|Lääkäri^Liisa||^^^Keskussairaala|||",
        &format!("PRD|RP|Lääkäri^Liisa||^^^KESKUSSAIRAALA&1.2.246.10.99999001.10.0&ISO|||{professional}"),
    )
}

async fn impersonal(site: &Site, kind: &'static str) -> Vec<Member> {
    let mut found = site.store.read(move |view| view.members(None, &[kind])).await.unwrap();
    found.retain(|member| member.resource.provider.as_deref() == Some("hospital"));
    found
}

async fn counted(site: &Site) -> [usize; 4] {
    let mut counts = [0; 4];
    for (count, kind) in counts.iter_mut().zip(["Organization", "Location", "Practitioner", "PractitionerRole"]) {
        *count = impersonal(site, kind).await.len();
    }
    counts
}

#[tokio::test]
async fn the_same_statement_in_another_message_is_the_same_resource_at_its_first_version() {
    let site = Site::with(PROVIDERS);
    for number in ["REF-1", "REF-2", "REF-3"] {
        let reply = site.hospital(&another(number, "99123^NI^1.2.246.537.26&ISO")).await;
        assert!(reply[1].starts_with("MSA|CA|"), "{reply:?}");
    }
    let counts = counted(&site).await;
    assert!(counts.iter().all(|count| *count == 1), "{counts:?}");
    let role = impersonal(&site, "PractitionerRole").await.remove(0).resource;
    assert_eq!(role.version, 1);
    let references: BTreeSet<String> = {
        let mut all = BTreeSet::new();
        for number in ["REF-1", "REF-2", "REF-3"] {
            let order = site.resource("ServiceRequest", number).await;
            all.insert(order.root().text_at("requester.reference").unwrap().to_owned());
        }
        all
    };
    assert_eq!(references, BTreeSet::from([role.key.to_string()]));
    assert!(!role.key.id.contains("99123"), "no number of a person is in an id");
}

#[tokio::test]
async fn another_statement_is_another_resource_and_two_professionals_of_one_name_are_two() {
    let site = Site::with(PROVIDERS);
    for (number, professional) in [("REF-1", ""), ("REF-2", ""), ("REF-3", "99123^NI"), ("REF-4", "99124^NI")] {
        let reply = site.hospital(&another(number, professional)).await;
        assert!(reply[1].starts_with("MSA|CA|"), "{reply:?}");
    }
    let [organizations, locations, practitioners, roles] = counted(&site).await;
    assert_eq!([organizations, locations], [1, 1]);
    assert_eq!([practitioners, roles], [4, 4]);
}

#[tokio::test]
async fn a_referral_sent_again_under_another_control_id_makes_nothing_new() {
    let site = Site::with(PROVIDERS);
    let first = another("REF-1", "99123^NI");
    site.hospital(&first).await;
    let before = site.resource("ServiceRequest", "REF-1").await;
    let reply = site.hospital(&first.replace("M-REF-1", "M-again")).await;
    assert!(reply[1].starts_with("MSA|CA|"), "{reply:?}");
    let after = site.resource("ServiceRequest", "REF-1").await;
    assert_eq!(after.json(), before.json());
}
