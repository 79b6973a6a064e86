//! Step 5: one question, every organisation; then one of them is silent; then a change of a Task.

use serde_json::{Value, json};

use super::super::case_manager::{Answer, HETU, entries, issue, text};
use super::super::county::put;
use super::super::events::{Broken, ensure, same};
use super::super::home_care::{OWN, Table};
use super::home_care::cell;
use super::{Case, each, reference, shown};

pub(super) async fn run(case: &mut Case<'_>) -> Result<(), Broken> {
    ask_all(case).await?;
    ask_without_one(case).await?;
    change(case).await
}

async fn plans(case: &Case<'_>) -> Result<Value, Broken> {
    let who = format!("{HETU}|{}", case.world.person.hetu);
    let parameters = [
        ("patient.identifier", who.as_str()),
        ("_include", "CarePlan:activity-reference"),
        ("_revinclude:iterate", "Task:focus"),
    ];
    case.world.case_manager.search("CarePlan", &parameters).await
}

async fn ask_all(case: &Case<'_>) -> Result<(), Broken> {
    let bundle = plans(case).await?;
    let matches = entries(&bundle, "match");
    let included: Vec<String> = entries(&bundle, "include").into_iter().map(reference).collect();
    ensure(
        matches.len() == 2,
        format!("{} plans were found, expected the county's and the association's", matches.len()),
    )?;
    let known = &case.known;
    for wanted in [&known.order, &known.home_care_order, &known.task, &known.home_care_task] {
        ensure(included.contains(wanted), format!("{wanted} is not in the answer"))?;
    }
    for provider in ["county", "association"] {
        ensure(answered(&bundle, provider).is_some(), format!("the outcome does not say that {provider} answered"))?;
    }
    case.console.moved(
        "Case manager",
        "Silta",
        "POST /CarePlan/_search",
        "two plans of two sources, with orders and Tasks",
    );
    case.console.dim("      patient.identifier=…&_include=CarePlan:activity-reference&_revinclude:iterate=Task:focus");
    let all = bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
    let (mut lines, mut outcome) = (Vec::new(), Vec::new());
    for entry in all {
        let Some(resource) = entry.get("resource") else { continue };
        let mode = text(entry, "/search/mode");
        if mode == "outcome" {
            outcome = told(resource);
        } else {
            let source = text(resource, "/meta/source");
            let source = source.rsplit(':').next().filter(|source| !source.is_empty()).unwrap_or("the gateway");
            ensure(says_how_old(entry), format!("{} does not say how old it is", reference(resource)))?;
            lines.push((format!("{mode:<8} {}", reference(resource)), format!("from {source}")));
        }
    }
    case.console.beside(&lines);
    for line in outcome {
        case.console.dim(&format!("      outcome  {line}"));
    }
    case.console.held("each part says its source and age; the outcome says who was asked");
    Ok(())
}

async fn ask_without_one(case: &Case<'_>) -> Result<(), Broken> {
    let world = case.world;
    world.association_server.stop().await;
    let answer = world.patience.until("an answer that names the silent association", || async {
        let bundle = plans(case).await?;
        ensure(silent(&bundle, "association").is_some(), "the outcome does not name it")?;
        Ok(bundle)
    });
    let answer = answer.await;
    world
        .association_server
        .start_again()
        .await
        .map_err(|error| Broken::new(format!("the association's port: {error}")))?;
    let bundle = answer?;
    let found: Vec<String> = entries(&bundle, "match").into_iter().map(reference).collect();
    ensure(found.contains(&case.known.plan), "without the association the county's plan is missing too")?;
    case.console.moved(
        "Case manager",
        "Silta",
        "POST /CarePlan/_search",
        "again, with the association's server stopped",
    );
    for plan in found {
        case.console.line(&format!("      match    {plan}"));
    }
    case.console.dim(&format!("      outcome  {}", silent(&bundle, "association").unwrap_or_default()));
    case.console.held("the answer still comes, and names who is silent");
    Ok(())
}

async fn change(case: &Case<'_>) -> Result<(), Broken> {
    let (world, known) = (case.world, &case.known);
    let place = format!("/{}", known.home_care_task);
    let put_task = |headers: Vec<(&'static str, String)>, task: Value| async move {
        let mut all: Vec<(&str, &str)> = vec![("Content-Type", "application/fhir+json")];
        all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        case.world
            .case_manager
            .ask(reqwest::Method::PUT, &format!("/{}", case.known.home_care_task), &all, Some(task.to_string()))
            .await
    };
    let current = world.case_manager.ask(reqwest::Method::GET, &place, &[], None).await?;
    let etag = current.etag.clone().unwrap_or_default();
    let later = world.hospital.today().saturating_add(jiff::Span::new().days(56));
    let mut task = current.body.clone();
    put(&mut task, "description", json!("Lisätään porraskävely; hissi on remontissa."));
    let mut restriction = task.get("restriction").cloned().unwrap_or_else(|| json!({}));
    let mut period = restriction.get("period").cloned().unwrap_or_else(|| json!({}));
    put(&mut period, "end", json!(later.to_string()));
    put(&mut restriction, "period", period);
    put(&mut task, "restriction", restriction);

    refused(&put_task(vec![], task.clone()).await?, 400, "an update without If-Match")?;
    let stale = vec![("If-Match", "W/\"1\"".to_owned())];
    refused(&put_task(stale, task.clone()).await?, 412, "an update of an old version")?;
    let (before, from) = (world.home_care.order(&known.home_care_there), world.home_care.collected.len());
    let before = before.ok_or_else(|| Broken::new("home care does not know the order"))?;
    let answer = put_task(vec![("If-Match", etag.clone())], task).await?;
    ensure(answer.status == 200, format!("the update was answered {}: {}", answer.status, issue(&answer.body)))?;
    let changed = &answer.body;

    let is_it = |table: &Table| (table.cell("tilausnro") == known.home_care_there).then(|| table.clone());
    let row = world.patience.wait("the changed row at home care", world.home_care.collected.find(from, is_it)).await?;
    same("ohje", row.cell("ohje"), "Lisätään porraskävely; hissi on remontissa.")?;
    same("paattyy", row.cell("paattyy"), &later.strftime("%-d.%-m.%Y").to_string())?;
    let differing = differing(&before, &row);
    for column in &differing {
        ensure(
            matches!(column.as_str(), "ohje" | "paattyy" | "tila"),
            format!("the column {column} changed, which the update does not speak of"),
        )?;
    }
    for column in OWN {
        same(column, row.cell(column), before.cell(column))?;
    }
    case.console.moved("Case manager", "Silta", "PUT /Task/…", "with If-Match: without it 400, on an old version 412");
    case.console
        .beside(&[(format!("If-Match: {etag}"), format!("200, ETag {}", answer.etag.clone().unwrap_or_default()))]);
    case.console.moved(
        "Silta",
        "Home care",
        &format!("in/{}", row.file),
        "the row that home care knows, changed where it must be",
    );
    case.console.beside(&[
        (cell(&row, "ohje"), shown(changed, "/description")),
        (cell(&row, "paattyy"), shown(changed, "/restriction/period/end")),
        (cell(&row, "reitti"), "as it was".to_owned()),
        (cell(&row, "hoitaja"), "as it was".to_owned()),
    ]);
    case.console.held(&format!(
        "of {} columns only {} changed; the provider's own are as they were",
        row.columns.len(),
        differing.join(", ")
    ));
    Ok(())
}

fn refused(answer: &Answer, status: u16, what: &str) -> Result<(), Broken> {
    ensure(answer.status == status, format!("{what} was answered {}, expected {status}", answer.status))
}

/// The columns that differ between two tables of one row.
fn differing(before: &Table, after: &Table) -> Vec<String> {
    let mut columns: Vec<String> = before.columns.clone();
    columns.extend(after.columns.iter().filter(|column| !before.columns.contains(column)).cloned());
    columns.retain(|column| before.cell(column) != after.cell(column));
    columns
}

/// What the outcome says, line by line.
fn told(outcome: &Value) -> Vec<String> {
    each(outcome, "issue", "/details/text").into_iter().map(str::to_owned).collect()
}

fn issues<'b>(bundle: &'b Value, provider: &str, code: &[&str]) -> Option<&'b str> {
    let outcomes = entries(bundle, "outcome");
    let all = outcomes.into_iter().filter_map(|one| one.get("issue")?.as_array()).flatten();
    all.filter(|one| code.contains(&text(one, "/details/coding/0/code")))
        .map(|one| text(one, "/details/text"))
        .find(|told| told.starts_with(provider))
}

fn answered<'b>(bundle: &'b Value, provider: &str) -> Option<&'b str> {
    issues(bundle, provider, &["live", "cached"])
}

fn silent(bundle: &Value, provider: &str) -> Option<String> {
    issues(bundle, provider, &["silent"]).map(str::to_owned)
}

/// Whether an entry says how old what it holds is.
fn says_how_old(entry: &Value) -> bool {
    let extensions = entry.pointer("/search/extension").or_else(|| entry.get("extension")).and_then(Value::as_array);
    extensions.is_some_and(|all| !all.is_empty())
}
