//! The gateway's configuration, written as an operator would write it and read as `silta serve` reads it.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{association, county, home_care, hospital};

/// What differs from run to run.
pub(super) struct Plan<'p> {
    /// The interface's port.
    pub(super) port: u16,
    pub(super) log: &'p str,
    /// A folder of maps over those that are built in.
    pub(super) profiles: Option<PathBuf>,
    pub(super) hospital: SocketAddr,
    pub(super) county: SocketAddr,
    pub(super) association: SocketAddr,
    /// Hashes of the callers' secrets.
    pub(super) case_manager: String,
    pub(super) county_hook: String,
}

/// The text of `silta.toml`.
pub(super) fn text(plan: &Plan<'_>) -> String {
    let Plan { port, log, profiles, hospital, county, association, case_manager, county_hook } = plan;
    let (hospital_oid, county_oid, home_care_oid, association_oid) =
        (hospital::OID, county::OID, home_care::OID, association::OID);
    let (county_port, association_port) = (county.port(), association.port());
    let profiles = profiles.as_ref().map_or_else(String::new, |folder| {
        format!("profiles = {}\n", toml::Value::from(folder.to_string_lossy().into_owned()))
    });
    format!(
        r#"# Written by `silta demo`: a gateway between four organisations, each in its own format.
# deploy/silta.toml shows every key.
state = "."

[server]
listen = "127.0.0.1:{port}"

[admin]
listen = "127.0.0.1:0"

[log]
level = "{log}"

# What providers answered is given again for a second, so that the demonstration shows both.
[cache]
max_age = "1s"

# What comes in holds to the Finnish profiles, or is refused.
[exchange]
realm = "fi"
{profiles}
# The case manager's system reads and updates Tasks, and may try the validator and the maps.
[access.caller.case-manager]
secret_hash = ["{case_manager}"]
interactions = ["*.read", "*.vread", "*.search", "ServiceRequest.create", "Task.update", "*.$validate", "*.$silta-convert"]

# The county's system posts what changes there.
[access.caller.county]
secret_hash = ["{county_hook}"]
organisation = ["urn:ietf:rfc:3986|urn:oid:{county_oid}"]
interactions = ["*.$inbound"]

# The hospital: HL7 v2.5.1 over MLLP, both ways, each side with a certificate.
[providers.hospital]
mode = "test"
organisations = ["urn:ietf:rfc:3986|urn:oid:{hospital_oid}", "urn:oid:{hospital_oid}|SAIRAALA"]

[providers.hospital.mllp]
address = "{hospital}"
tls = {{ ca = "ca.pem", server_name = "localhost" }}
types = {{ ServiceRequest = {{ create = true, update = true }}, MessageHeader = {{ create = true }} }}

[providers.hospital.map]
task = "ref-i12"
answers = true
tell = ["accepted", "rejected", "completed", "failed", "cancelled"]
time_zone = "Europe/Helsinki"
charset = "ISO-8859-1"
identifier_types = {{ NNFIN = "urn:oid:1.2.246.21" }}
code_systems = {{ I10 = "http://hl7.org/fhir/sid/icd-10" }}
facilities = {{ SAIRAALA = "urn:ietf:rfc:3986|urn:oid:{hospital_oid}", ASIAKASOHJAUS = "urn:ietf:rfc:3986|urn:oid:{county_oid}" }}
envelope = {{ sending_application = "SILTA", sending_facility = "SILTA", receiving_application = "EPJ", receiving_facility = "SAIRAALA", version = "2.5.1" }}

[[mllp]]
provider = "hospital"
listen = "127.0.0.1:0"
tls = {{ certificate = "mllp.pem", key = "mllp.key", client_ca = "ca.pem" }}

# The county's service guidance: JSON, an API key, and a webhook to us.
[providers.county]
mode = "test"
organisations = ["urn:ietf:rfc:3986|urn:oid:{county_oid}", "urn:oid:{county_oid}|ASIAKASOHJAUS"]

[providers.county.http]
base = "https://localhost:{county_port}/v1/"
tls = {{ ca = "ca.pem" }}
credentials = {{ api_key = {{ header = "X-API-Key", secret = {{ file = "secrets/county.key" }} }} }}
patient_identifiers = ["urn:oid:1.2.246.21"]

[providers.county.http.documents.palvelupyynto]
types = ["ServiceRequest"]
schema = {{ name = "fi/schemas/palvelupyynto.schema.json" }}
id = "/tunnus"
version = "/versio"
create = {{ path = "palvelupyynnot", headers = {{ Idempotency-Key = "{{message_id}}" }}, id = "/tunnus", document = "" }}
update = {{ path = "palvelupyynnot/{{id}}", document = "" }}

[providers.county.http.documents.asiakassuunnitelma]
types = ["CarePlan", "Goal"]
schema = {{ name = "fi/schemas/asiakassuunnitelma.schema.json" }}
id = "/tunnus"
version = "/versio"
list = {{ path = "asiakassuunnitelmat/haku", body = {{ hetu = "{{identifier}}" }}, items = "/tulokset", next = "/seuraava" }}
get = {{ path = "asiakassuunnitelmat/{{id}}" }}

[providers.county.map]
task = "fi-palvelupyynto"
kind = "palvelupyynto"
requester_kind = "palvelupyynto"
maps = ["fi-palvelupyynto", "fi-asiakassuunnitelma"]
time_zone = "Europe/Helsinki"
# What its referral has no place for: who the relatives are and where the bed stands, the patient's sex, date of birth, country and
# numbers elsewhere, what kind of name, address and telephone it is, the kind of a diagnosis, who gave the order its number. As soon
# as possible (asap) is urgent there. What it can carry is sent, and the rest is in the report.
lossy = true

# The home-care provider: CSV, in folders.
[providers.home-care]
mode = "test"
organisations = ["urn:ietf:rfc:3986|urn:oid:{home_care_oid}"]

[providers.home-care.files]
folder = "home-care/in"
name = "{{kind}}-{{sequence:6}}.csv"
types = {{ ServiceRequest = {{ create = true, update = true }} }}
ledger = "home-care/sequence.json"

[providers.home-care.map]
task = "fi-kotihoito-tilaus"
kind = "tilaus"
maps = ["fi-kotihoito-tilaus", "fi-kotihoito-suunnitelma", "fi-kotihoito-toteuma"]
time_zone = "Europe/Helsinki"
charset = "windows-1252"
table = {{ separator = ";" }}
# What its row has no place for: the plan and the referral that the order is part of, its category and remarks, the time of the day
# when it was written.
lossy = true

[[collect]]
provider = "home-care"
folder = "home-care/out"
name = "{{any}}-{{sequence}}.csv"

# The rehabilitation association: a FHIR R4 server.
[providers.association]
mode = "test"
organisations = ["urn:ietf:rfc:3986|urn:oid:{association_oid}"]

[providers.association.health]
# One attempt more at most, and soon: whoever asks is waiting.
attempts = 2
backoff = "50ms"

[providers.association.fhir]
base = "https://localhost:{association_port}/r4/"
tls = {{ ca = "ca.pem" }}
credentials = {{ bearer = {{ file = "secrets/association.key" }} }}
patient_identifiers = ["urn:oid:1.2.246.21"]
types = {{ CarePlan = {{ read = true, search = true }}, Patient = {{ read = true, search = true }}, Organization = {{ read = true }}, Appointment = {{ read = true }} }}
"#
    )
}
