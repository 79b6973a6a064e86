//! Step 4: the association's own plan, part of the county's.

use serde_json::json;

use super::super::case_manager::text;
use super::super::events::{Broken, ensure, same};
use super::{Case, shown};

pub(super) async fn run(case: &mut Case<'_>) -> Result<(), Broken> {
    let (world, person) = (case.world, &case.world.person);
    let part_of = format!("{}/{}", world.base(), case.known.plan);
    let reference = json!({"reference": part_of, "display": "Kotiin lonkkamurtuman jälkeen"});
    let name = (person.family, person.given);
    world.association.write_plan(&world.run, &person.hetu, name, world.hospital.today(), &reference);
    let asked = world.association.asked.len();
    let found = world.patience.until("the association's plan", || async {
        case.the("CarePlan", "the association's", |one| text(one, "/meta/source").ends_with(":association")).await
    });
    let plan = found.await?;
    let at_once = world
        .association
        .asked
        .count(|(method, path, _)| *method == hyper::Method::POST && path == "/r4/CarePlan/_search");
    ensure(world.association.asked.len() > asked && at_once > 0, "the association was not asked by POST _search")?;
    same("what the plan is part of", text(&plan, "/partOf/0/reference"), &case.known.plan)?;
    same("the title", text(&plan, "/title"), "Liikuntaryhmä ja vertaistuki")?;
    let subject = case.read(text(&plan, "/subject/reference")).await?;
    let author = case.read(text(&plan, "/author/reference")).await?;
    let activity = case.read(text(&plan, "/activity/0/reference/reference")).await?;
    case.console.moved(
        "Silta",
        "Association",
        "POST /r4/CarePlan/_search",
        "asked live, the identity code in the body",
    );
    case.console.beside(&[
        (format!("CarePlan/vertaistuki-{}", world.run), shown(&plan, "/id")),
        (format!("Patient/henkilo-{}", world.run), shown(&plan, "/subject/reference")),
        ("partOf  the county's plan, by address".to_owned(), shown(&plan, "/partOf/0/reference")),
        ("author  Organization/yhdistys".to_owned(), shown(&author, "/name")),
    ]);
    same("the patient's identity code", text(&subject, "/identifier/0/value"), &person.hetu)?;
    same("what is planned", text(&activity, "/description"), "Tuolijumppa")?;
    case.console.held("every reference leads through the gateway: subject, author and activity were read by it");
    Ok(())
}
