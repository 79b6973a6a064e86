//! Providers: each adapter against scripted servers, and the guards around all of them.

mod collecting;
mod fhir;
mod files;
mod health;
mod http;
mod registry;

use std::time::Duration;

use silta::clock::{Clock, Instant};
use silta::provider::{Action, Delivery, Identifier, Mode, Read, Search};

const HETU: &str = "urn:oid:1.2.246.21";

fn in_a_minute(clock: &Clock) -> Instant {
    clock.instant().after(Duration::from_secs(60))
}

fn read(resource_type: &str, native_id: &str) -> Read {
    Read { resource_type: resource_type.to_owned(), native_id: native_id.to_owned(), if_none_match: None }
}

fn search(types: &[&str]) -> Search {
    let identifier = |system: &str, value: &str| Identifier { system: system.to_owned(), value: value.to_owned() };
    Search {
        patient: vec![identifier("urn:local", "P,1|$"), identifier(HETU, "010190-900Z")],
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        since: None,
    }
}

fn delivery(resource_type: &str, action: Action, bytes: &str) -> Delivery {
    Delivery {
        message_id: "M-1".to_owned(),
        resource_type: resource_type.to_owned(),
        kind: None,
        action,
        bytes: bytes.to_owned().into(),
        media_type: "application/json".to_owned(),
        mode: Mode::Test,
        identifier: None,
    }
}

fn update(native_id: &str, version: Option<&str>) -> Action {
    Action::Update { native_id: native_id.to_owned(), version: version.map(str::to_owned) }
}
