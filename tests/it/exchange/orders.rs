//! Orders of a hospital over real sockets: what the county decides reaches it as the answer to its message.

use serde_json::json;

use super::bad_input::{ask, hospital};
use crate::support::mllp::Peer;
use crate::support::station::Station;

const PID: &str = "PID|1||140347-9120^^^VRK&1.2.246.21&ISO^NNFIN||Koivisto^Aino||19470314|F";

fn order(kind: &str, number: &str) -> String {
    let segments = [
        format!("MSH|^~\\&|EPR|SAIRAALA|SILTA|ASIAKASOHJAUS|20260302091400+0200||{kind}|C-{number}|T|2.5.1"),
        PID.to_owned(),
        format!("ORC|NW|{number}^EPR||||||||||4411^Lääkäri^Liisa"),
        format!("OBR|1|{number}^EPR||KOTI^Kotikuntoutus^L"),
    ];
    format!("{}\r", segments.join("\r"))
}

fn fields<'m>(message: &'m str, name: &str) -> Vec<&'m str> {
    let segment = message.split('\r').find(|segment| segment.starts_with(name)).unwrap_or_default();
    segment.split('|').collect()
}

#[tokio::test]
async fn an_order_is_answered_by_the_message_of_its_kind_once_the_county_has_decided() {
    let peer = Peer::plain().await;
    let station = Station::start(&hospital(peer.port())).await;
    let mut line = station.line().await;
    let cases = [
        ("ORM^O01^ORM_O01", "ORR^O02^ORR_O02", "accepted", "OK"),
        ("OMG^O19^OMG_O19", "ORG^O20^ORG_O20", "rejected", "UA"),
        ("OML^O21^OML_O21", "ORL^O22^ORL_O22", "accepted", "OK"),
    ];
    let mut back = None;
    for (number, (kind, answer, decision, control)) in ["T1", "T2", "T3"].into_iter().zip(cases) {
        let taken = ask(&mut line, &order(kind, number)).await;
        assert_eq!(taken[1][1], "AA", "{kind}: {taken:?}");
        let found = station.search("ServiceRequest", &[("identifier", number)]).await;
        let id = found["entry"][0]["resource"]["id"].as_str().unwrap_or_else(|| panic!("{kind}: {found}")).to_owned();
        let focus = format!("ServiceRequest/{id}");
        let found = station.search("Task", &[("focus", &focus)]).await;
        let mut task = found["entry"][0]["resource"].clone();
        let id = task["id"].as_str().unwrap_or_else(|| panic!("{kind}: {found}")).to_owned();
        assert_eq!(task["status"], "requested", "{kind}: {task}");
        task["status"] = json!(decision);
        if decision == "rejected" {
            task["statusReason"] = json!({"text": "Ei paikkoja"});
        }
        let put = station.put(&format!("/Task/{id}"), "W/\"1\"", task.to_string()).await;
        assert_eq!(put.status, 200, "{kind}: {}", put.text);
        // The connection of the first answer serves the others.
        let mut hospital = match back.take() {
            Some(line) => line,
            None => peer.accept().await,
        };
        let told = hospital.receive().await.expect("an answer");
        assert_eq!(fields(&told, "MSH")[8], answer, "{told}");
        let own = fields(&told, "MSH")[9].to_owned();
        assert_eq!(fields(&told, "MSA")[2], format!("C-{number}"), "{told}");
        let orc = fields(&told, "ORC");
        assert_eq!((orc[1], orc[2].split('^').next()), (control, Some(number)), "{told}");
        assert_eq!(told.contains("|Ei paikkoja|"), decision == "rejected", "why it was refused: {told}");
        assert!(fields(&told, "PID")[3].starts_with("140347-9120"), "{told}");
        hospital.send(&format!("MSH|^~\\&|EPR|SAIRAALA|SILTA||20260302||ACK|A{number}|T|2.5.1\rMSA|AA|{own}\r")).await;
        back = Some(hospital);
    }
    drop(station.stop().await);
}
