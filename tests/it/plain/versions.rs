//! Servers of other versions of FHIR: what they hold is asked for and read as R4, and what they are sent is their own
//! version.

use serde_json::{Value, json};

use super::Site;

const HETU: &str = "urn:oid:1.2.246.21|140347-9120";

#[tokio::test]
async fn a_referral_stands_at_an_r5_server_in_r5_and_what_is_done_to_it_there_is_known_here() {
    let mut site = Site::start("version = '5.0'").await;
    site.refer("V5").await;
    site.stands("its Task is there", |held| !held.of("Task").is_empty()).await;
    {
        let held = site.held.lock().unwrap();
        let order = held.only("ServiceRequest");
        // In R5 a reason is a concept or a reference in one element, and R4's own is none of it.
        assert!(order.get("reasonReference").is_none() && order.get("reasonCode").is_none(), "{order}");
        assert_eq!(order["subject"]["reference"], format!("Patient/{}", held.only("Patient")["id"].as_str().unwrap()));
        let task = held.only("Task");
        assert_eq!(task["status"], "requested");
        assert_eq!(task["focus"]["reference"], format!("ServiceRequest/{}", order["id"].as_str().unwrap()));
    }
    // What only R5 has comes with the change, stays, and goes back as it was.
    let task = site.do_to_task(|task| {
        task["status"] = json!("accepted");
        task["statusReason"] = json!({"concept": {"text": "sopii"}});
        task["requestedPeriod"] = json!({"start": "2026-03-09"});
    });
    let answer = site.hook("POST", "/hooks/ry", task.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let here = site.task_in("accepted").await;
    assert_eq!(here["statusReason"]["text"], "sopii");
    let mut changed = here.clone();
    changed["note"] = json!([{"text": "Soita ensin."}]);
    assert_eq!(site.change(&changed).await, 200);
    site.stands("the change is there", |held| held.only("Task")["note"][0]["text"] == "Soita ensin.").await;
    let task = site.held.lock().unwrap().only("Task");
    assert_eq!(task["requestedPeriod"], json!({"start": "2026-03-09"}));
    assert_eq!(task["statusReason"], json!({"concept": {"text": "sopii"}}));
}

#[tokio::test]
async fn a_referral_is_a_referral_request_at_an_stu3_server() {
    let mut site = Site::start("version = '3.0'").await;
    site.refer("V3").await;
    site.stands("its Task is there", |held| !held.of("Task").is_empty()).await;
    let held = site.held.lock().unwrap();
    let order = held.only("ReferralRequest");
    assert_eq!(order["status"], "active");
    assert_eq!(
        held.only("Task")["focus"]["reference"],
        format!("ReferralRequest/{}", order["id"].as_str().unwrap()),
        "{}",
        held.only("Task")
    );
    assert!(held.of("ServiceRequest").is_empty() && held.of("ProcedureRequest").is_empty());
}

#[tokio::test]
async fn a_care_plan_of_an_r5_server_is_in_the_answer_for_the_patient() {
    let mut site = Site::start("version = '5.0'").await;
    site.refer("V6").await;
    site.stands("its Task is there", |held| !held.of("Task").is_empty()).await;
    let patient = site.held.lock().unwrap().only("Patient")["id"].as_str().unwrap().to_owned();
    site.held.lock().unwrap().put(
        "CarePlan/p1",
        json!({"resourceType": "CarePlan", "status": "active", "intent": "plan",
            "subject": {"reference": format!("Patient/{patient}")},
            "addresses": [{"concept": {"text": "lonkkamurtuma"}}],
            "custodian": {"display": "Kuntoutus ry"},
            "activity": [{"plannedActivityReference": {"display": "fysioterapia"}}]}),
    );
    let (system, value) = HETU.split_once('|').unwrap();
    let found = site.station.search("CarePlan", &[("patient.identifier", &format!("{system}|{value}"))]).await;
    let plans: Vec<Value> = found["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["resource"].clone())
        .filter(|one| one["resourceType"] == "CarePlan")
        .collect();
    let [plan] = plans.as_slice() else { panic!("{found}") };
    assert_eq!(plan["id"], "ry.p1");
    assert_eq!(plan["author"]["display"], "Kuntoutus ry");
    assert_eq!(plan["activity"][0]["reference"]["display"], "fysioterapia");
    assert!(plan["subject"]["reference"].as_str().unwrap().starts_with("Patient/"), "{plan}");
}
