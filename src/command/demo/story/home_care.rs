//! Step 3: the order arrives as a CSV row; a visit is planned and made.

use serde_json::Value;

use super::super::case_manager::text;
use super::super::county::NUMBERS;
use super::super::events::{Broken, ensure, same};
use super::super::home_care::Table;
use super::{Case, each, shown};

pub(super) async fn run(case: &mut Case<'_>) -> Result<(), Broken> {
    take(case).await?;
    plan(case).await?;
    visit(case).await
}

async fn take(case: &Case<'_>) -> Result<(), Broken> {
    let (world, number) = (case.world, &case.known.home_care_there);
    let is_it = |table: &Table| (table.cell("tilausnro") == number).then(|| table.clone());
    let row = world.patience.wait("the order's row in home care's folder", world.home_care.collected.find(0, is_it));
    let row = row.await?;
    let person = &world.person;
    same("hetu", row.cell("hetu"), &person.hetu)?;
    same("sukunimi", row.cell("sukunimi"), person.family)?;
    same("palvelun_nimi", row.cell("palvelun_nimi"), "Kotikuntoutus")?;
    same("tila", row.cell("tila"), "TILATTU")?;
    let task = case.read(&case.known.home_care_task).await?;
    case.console.moved("Silta", "Home care", &format!("in/{}", row.file), "the order as a row");
    case.console.beside(&[
        (cell(&row, "tilausnro"), shown(&task, "/focus/reference")),
        (cell(&row, "sukunimi"), shown(&task, "/for/reference")),
        (cell(&row, "palvelun_nimi"), "ServiceRequest.code".to_owned()),
        (cell(&row, "paattyy"), shown(&task, "/restriction/period/end")),
        (cell(&row, "tila"), "Task.status  requested".to_owned()),
    ]);
    let back = world.patience.wait("the row that home care returns", world.home_care.returned.find(0, is_it)).await?;
    let task = case.task_in(&case.known.home_care_task, "accepted").await?;
    case.console.moved("Home care", "Silta", &format!("out/{}", back.file), "taken on, with columns of its own");
    case.console.beside(&[
        (cell(&back, "tila"), shown(&task, "/status")),
        (cell(&back, "reitti"), "kept with the original".to_owned()),
        (cell(&back, "hoitaja"), "kept with the original".to_owned()),
    ]);
    let plan = case.read(&case.known.plan).await?;
    let team = case.read(text(&plan, "/careTeam/0/reference")).await?;
    ensure(
        each(&team, "participant", "/member/reference").contains(&text(&task, "/owner/reference")),
        "home care is not in the care team of the plan",
    )?;
    case.console.held("accepting the order brought home care into the care team of the plan");
    Ok(())
}

async fn plan(case: &Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    let visit = format!("K-{}-1", world.run);
    let tomorrow = world.hospital.today().tomorrow().unwrap_or(world.hospital.today());
    let day = tomorrow.strftime("%-d.%-m.%Y").to_string();
    world.home_care.report(
        "suunnitelma",
        &[
            ("kayntinro", &visit),
            ("tilausnro", &case.known.home_care_there),
            ("tilausnro_avaruus", NUMBERS),
            ("hetu", &world.person.hetu),
            ("alkaa", &format!("{day} 10:30")),
            ("paattyy", &format!("{day} 11:30")),
            ("tehtava", "Kävelyharjoitus"),
            ("tila", "VARATTU"),
            ("hoitaja", "Mäkelä Oona"),
        ],
    )?;
    let reference = format!("Appointment/home-care.{visit}");
    let found = world.patience.until("the planned visit", || async { case.read(&reference).await });
    let appointment = found.await?;
    same("the planned visit's status", text(&appointment, "/status"), "booked")?;
    ensure(
        each(&appointment, "basedOn", "/reference").contains(&case.known.home_care_order.as_str()),
        "the planned visit is not based on the order",
    )?;
    case.console.moved("Home care", "Silta", "out/suunnitelma-….csv", "a visit is planned");
    case.console.beside(&[
        (format!("alkaa  {day} 10:30"), shown(&appointment, "/start")),
        ("tila  VARATTU".to_owned(), shown(&appointment, "/status")),
        (format!("tilausnro  {}", case.known.home_care_there), shown(&appointment, "/basedOn/0/reference")),
    ]);
    Ok(())
}

async fn visit(case: &mut Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    let visit = format!("K-{}-1", world.run);
    let day = world.hospital.today().strftime("%-d.%-m.%Y").to_string();
    let done = "Käveli sisällä rollaattorin kanssa 20 metriä – jaksoi hyvin.";
    world.home_care.report(
        "toteuma",
        &[
            ("kayntinro", &visit),
            ("tilausnro", &case.known.home_care_there),
            ("tilausnro_avaruus", NUMBERS),
            ("hetu", &world.person.hetu),
            ("alkoi", &format!("{day} 10:32")),
            ("paattyi", &format!("{day} 11:28")),
            ("kirjaus", done),
            ("tila", "TEHTY"),
            ("hoitaja", "Mäkelä Oona"),
        ],
    )?;
    let task = case.task_in(&case.known.home_care_task, "in-progress").await?;
    let visits = each(&task, "output", "/valueReference/reference");
    let reference = format!("Encounter/home-care.{visit}");
    ensure(visits.contains(&reference.as_str()), "the visit is not among the outputs of the Task")?;
    let encounter = case.read(&reference).await?;
    same("the visit's status", text(&encounter, "/status"), "finished")?;
    case.console.moved("Home care", "Silta", "out/toteuma-….csv", "the visit was made, and with it the work has begun");
    case.console.beside(&[
        (format!("alkoi  {day} 10:32"), shown(&encounter, "/period/start")),
        ("tila  TEHTY".to_owned(), shown(&encounter, "/status")),
        (format!("kirjaus  {done}"), shown(&encounter, "/type/0/text")),
        (String::new(), shown(&task, "/status")),
    ]);
    // The county's system hears of it and writes it into its plan; the plan is read live.
    let plan = world.patience.until("the visit in the client plan", || async {
        let plan = case.read(&case.known.plan).await?;
        activity_with(&plan, &reference)?;
        Ok(plan)
    });
    let plan = plan.await?;
    let document = world.county.document(&case.known.plan_there);
    case.console.moved(
        "Silta → County",
        "Silta",
        "PUT, then POST /hooks/county",
        "the county's system notes the visit in its plan",
    );
    case.console.beside(&[
        (
            super::county::native(&document, "/palvelut/1/toteumat/0/kaynti"),
            shown(&plan, "/activity/1/outcomeReference/0/reference"),
        ),
        (
            super::county::native(&document, "/palvelut/1/seuranta/0/teksti"),
            shown(&plan, "/activity/1/progress/0/text"),
        ),
    ]);
    case.console.held("the first visit moved the Task to in-progress; the plan shows the visit as its outcome");
    case.known.visits.push(reference);
    Ok(())
}

/// The plan's activity that has a visit as its outcome, with a note on progress.
pub(super) fn activity_with(plan: &Value, visit: &str) -> Result<(), Broken> {
    let activities = plan.get("activity").and_then(Value::as_array).into_iter().flatten();
    let mut with_visit = activities.filter(|one| each(one, "outcomeReference", "/reference").contains(&visit));
    let activity =
        with_visit.next().ok_or_else(|| Broken::new("no activity of the plan has the visit as its outcome"))?;
    ensure(!text(activity, "/progress/0/text").is_empty(), "the activity has no note on progress")
}

/// A column and its cell, for the left column.
pub(super) fn cell(table: &Table, column: &str) -> String {
    format!("{column}  {}", table.cell(column))
}
