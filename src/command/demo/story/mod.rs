//! One person's case, step by step: what moves, and whether it arrived as it should.

mod association;
mod case_manager;
mod county;
mod ending;
mod home_care;
mod hospital;

use serde_json::Value;

use super::case_manager::text;
use super::console::Console;
use super::events::{Broken, ensure};
use super::world::World;
use crate::provider::BoxFuture;

/// What came of the run.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Every step held.
    pub(super) held: bool,
    /// The client plan, for the reader: `CarePlan/id`.
    pub(super) plan: Option<String>,
}

/// A case under way.
struct Case<'w> {
    world: &'w World,
    console: &'w Console,
    known: Known,
}

/// What the steps so far brought, as `Type/id` and as the organisations' own numbers.
#[derive(Debug, Default)]
struct Known {
    /// MSH-10 of the referral.
    message: String,
    /// The hospital's number of it.
    referral: String,
    /// The order and its Task.
    order: String,
    task: String,
    /// The county's numbers of the referral, of the client plan and of the order for home care.
    referral_there: String,
    plan_there: String,
    home_care_there: String,
    plan: String,
    /// The order for home care and its Task.
    home_care_order: String,
    home_care_task: String,
    /// Visits that were made.
    visits: Vec<String>,
}

type Step = for<'a, 'w> fn(&'a mut Case<'w>) -> BoxFuture<'a, Result<(), Broken>>;

const STEPS: [(&str, &str, Step); 6] = [
    ("The hospital admits, refers and discharges", "HL7 v2.5.1 over MLLP with TLS", |case| {
        Box::pin(hospital::run(case))
    }),
    (
        "The county takes the referral, plans, and orders home rehabilitation",
        "JSON over HTTPS, and a webhook",
        |case| Box::pin(county::run(case)),
    ),
    ("Home care takes the order, plans a visit and makes it", "CSV in folders, windows-1252", |case| {
        Box::pin(home_care::run(case))
    }),
    ("The rehabilitation association has a plan of its own", "FHIR R4 over HTTPS", |case| {
        Box::pin(association::run(case))
    }),
    ("The case manager sees all of it as one, and changes it", "FHIR R4 over HTTPS", |case| {
        Box::pin(case_manager::run(case))
    }),
    ("Home care ends, the county closes, the hospital hears of it", "CSV → JSON → HL7 v2", |case| {
        Box::pin(ending::run(case))
    }),
];

/// Runs the case. After a step that failed no other is begun: each stands on those before it.
pub(super) async fn run(world: &World, console: &Console) -> Ran {
    let mut case = Case { world, console, known: Known::default() };
    case.introduce();
    let mut failed = None;
    for (number, (title, format, step)) in (1..).zip(STEPS) {
        console.step(number, title, format);
        if let Some(failed) = failed {
            console.failed(number, &format!("not begun, since step {failed} failed"));
            continue;
        }
        let begun = world.patience.0.instant();
        match step(&mut case).await {
            Ok(()) => console.ok(number, world.patience.0.instant().since(begun)),
            Err(broken) => {
                for (document, status, answer) in world.county.refused() {
                    console.dim(&format!(
                        "   the gateway refused the county's webhook with {status}: {answer} {document}"
                    ));
                }
                console.failed(number, &broken.0);
                failed = Some(number);
            }
        }
    }
    let plan = Some(case.known.plan).filter(|plan| !plan.is_empty());
    Ran { held: failed.is_none(), plan }
}

impl Case<'_> {
    fn introduce(&self) {
        let (world, person) = (self.world, &self.world.person);
        let [hospital, county, association, mllp] = world.ports();
        self.console.title("Silta: one person's case across four organisations");
        self.console.line("");
        self.console.line(&format!(
            "   {} {}, identity code {} (made up, of the series that is never issued), has broken a hip.",
            person.given, person.family, person.hetu
        ));
        self.console.line("");
        let servers = [
            ("gateway", format!("{}   and MLLP on port {}", world.base(), mllp.port())),
            ("hospital", format!("HL7 v2.5.1 over MLLP, TLS, port {}", hospital.port())),
            ("county", format!("JSON REST with Finnish names, TLS, port {}", county.port())),
            ("home care", format!("CSV in {}", world.folder.join("home-care").display())),
            ("association", format!("FHIR R4 server, TLS, port {}", association.port())),
        ];
        for (name, what) in servers {
            self.console.dim(&format!("   {name:<12} {what}"));
        }
    }

    /// The resources of a type about the person.
    async fn of_person(&self, kind: &str) -> Result<Vec<Value>, Broken> {
        self.world.case_manager.of_person(kind, &self.world.person.hetu).await
    }

    /// The one resource of a type about the person of which this holds.
    async fn the(&self, kind: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value, Broken> {
        let mut found: Vec<Value> = self.of_person(kind).await?.into_iter().filter(|one| is(one)).collect();
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (None, _) => Err(Broken::new(format!("there is no {kind} that is {what}"))),
            (Some(_), false) => Err(Broken::new(format!("there are {} of {kind} that are {what}", found.len() + 1))),
        }
    }

    async fn read(&self, reference: &str) -> Result<Value, Broken> {
        self.world.case_manager.read(reference).await
    }

    /// A Task when it has come to a state.
    async fn task_in(&self, reference: &str, status: &str) -> Result<Value, Broken> {
        let what = format!("{reference} to be {status}");
        let look = || async {
            let task = self.read(reference).await?;
            let found = text(&task, "/status");
            ensure(found == status, format!("it is {found}"))?;
            Ok(task)
        };
        self.world.patience.until(&what, look).await
    }
}

/// `Type/id` of a resource.
fn reference(resource: &Value) -> String {
    format!("{}/{}", text(resource, "/resourceType"), text(resource, "/id"))
}

/// A place of a resource and its value, for the right column: `Task.status  requested`.
fn shown(resource: &Value, pointer: &str) -> String {
    let found = resource.pointer(pointer);
    let value = match found {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "–".to_owned(),
    };
    let mut path = text(resource, "/resourceType").to_owned();
    for step in pointer.split('/').skip(1) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else {
            path.push('.');
            path.push_str(step);
        }
    }
    format!("{path}  {value}")
}

/// The values at a pointer in each element of an array.
fn each<'v>(resource: &'v Value, array: &str, pointer: &str) -> Vec<&'v str> {
    let elements = resource.get(array).and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(|one| one.pointer(pointer)?.as_str()).collect()
}
