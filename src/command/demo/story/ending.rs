//! Step 6: the order is done, the referral is closed, and the hospital is told.

use serde_json::json;

use super::super::case_manager::text;
use super::super::county::{Event, put};
use super::super::events::{Broken, ensure, same};
use super::{Case, shown};

/// What the county tells the hospital.
const FEEDBACK: &str = "Kotikuntoutus päättynyt. Kävelee ulkona rollaattorin kanssa.";

pub(super) async fn run(case: &mut Case<'_>) -> Result<(), Broken> {
    let (world, known) = (case.world, &case.known);
    let from = world.county.events.len();
    world.home_care.change(&known.home_care_there, &[("tila", "PAATTYNYT")])?;
    let task = case.task_in(&known.home_care_task, "completed").await?;
    let told = world.county.events.find(from, |event| match event {
        Event::Changed(document) if text(document, "/tunnus") == known.home_care_there => {
            (text(document, "/tila") == "valmis").then(|| document.clone())
        }
        _ => None,
    });
    let told = world.patience.wait("the county to hear that the order is done", told).await?;
    case.console.moved(
        "Home care → Silta",
        "County",
        "PUT /v1/palvelupyynnot/…",
        "the end row completes the order's Task",
    );
    case.console.beside(&[
        ("tila  PAATTYNYT".to_owned(), shown(&task, "/status")),
        (super::county::native(&told, "/tila"), String::new()),
    ]);

    let (from, before) = (world.county.events.len(), world.hospital.received.len());
    world.county.change(&known.referral_there, |document| {
        put(document, "tila", json!("valmis"));
        put(document, "palaute", json!(FEEDBACK));
    });
    let hooked = world.county.hooked(from, |document| text(document, "/tunnus") == known.referral_there);
    world.patience.wait("the county's webhook that the referral is done", hooked).await??;
    let first = case.task_in(&known.task, "completed").await?;
    let answer =
        world.hospital.received.find(before, |message| (message.event() == "RRI^I12").then(|| message.clone()));
    let answer = world.patience.wait("the RRI^I12 with the feedback at the hospital", answer).await?;
    same("MSA-2 of the RRI", answer.field("MSA", 2), &known.message)?;
    same("RF1-6 of the RRI", answer.component("RF1", 6, 1), &known.referral)?;
    same("RF1-11 of the RRI", answer.component("RF1", 11, 1), &known.referral_there)?;
    ensure(answer.says("NTE", FEEDBACK), format!("the RRI does not bring the feedback: {}", answer.text()))?;
    case.console.moved("County → Silta", "Hospital", "RRI^I12", "the feedback on the referral");
    case.console.beside(&[
        (format!("RF1-1   {}", answer.field("RF1", 1)), shown(&first, "/status")),
        (answer.lines("NTE").next().unwrap_or("").to_owned(), shown(&first, "/note/0/text")),
    ]);
    let referral = world.hospital.referral(&known.message);
    let heard = referral.map_or(0, |referral| referral.statuses.len());
    ensure(heard == 2, format!("the hospital was answered {heard} times, expected twice"))?;
    case.console.held("the hospital was answered twice: when the referral was accepted, and when it was done");
    Ok(())
}
