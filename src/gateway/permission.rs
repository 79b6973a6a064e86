//! Whether this caller may use an interaction, and whether it is offered at all.

use hyper::header::HeaderMap;
use silta_engine::fault::Fault;

use super::outcome::Refusal;
use super::request::Interaction;
use super::service::{Offer, Offers};
use crate::access::caller::Caller;
use crate::access::interaction::Action;

/// Refuses what is not on the caller's list.
pub(super) fn permitted(caller: &Caller, interaction: &Interaction) -> Result<(), Refusal> {
    let (action, kind) = (interaction.action(), interaction.resource_type());
    let operation = match interaction {
        Interaction::Operation(_, _, name) => Some(format!("${name}")),
        _ => None,
    };
    if caller.may(action, kind, operation.as_deref()) {
        return Ok(());
    }
    let place = kind.map_or("*", |kind| kind.name());
    let word = operation.as_deref().unwrap_or(action.word());
    Err(Refusal::new(Fault::Forbidden, format!("this caller's list of interactions does not have {place}.{word}")))
}

/// Refuses what is not offered, naming what is.
pub(super) fn offered(offers: &Offers, interaction: &Interaction, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(kind) = interaction.resource_type() else {
        let is_offered = match interaction {
            Interaction::Batch => offers.batch,
            Interaction::Operation(_, _, name) => has(&offers.operations, name),
            _ => false,
        };
        let text = "this interaction on the whole system is not offered; GET [base]/metadata says what is";
        return is_offered.then_some(()).ok_or_else(|| Refusal::new(Fault::MethodNotSupported, text));
    };
    if matches!(interaction, Interaction::Operation(_, _, name) if has(&offers.everywhere, name)) {
        return Ok(());
    }
    let Some(offer) = offers.on(kind) else {
        let text = format!("{kind} is not served here; GET [base]/metadata says what is");
        return Err(Refusal::new(Fault::UnknownType, text));
    };
    let is_offered = match interaction {
        Interaction::Operation(_, _, name) => has(&offer.operations, name),
        Interaction::Update(_, None) | Interaction::Patch(_, None) | Interaction::Delete(_, None) => false,
        Interaction::Create(_) if headers.contains_key("if-none-exist") && !offer.conditional_create => {
            let text = format!("a conditional create of {kind} is not offered");
            return Err(Refusal::new(Fault::MethodNotSupported, text));
        }
        other => offer.actions.contains(&other.action()),
    };
    if is_offered {
        return Ok(());
    }
    let word = interaction.action().word();
    let text = format!("{word} of {kind} is not offered in this form; GET [base]/metadata says what is");
    let mut refusal = Refusal::new(Fault::MethodNotSupported, text);
    refusal.allow = allowed(offer, interaction);
    Err(refusal)
}

fn has(operations: &[(String, String)], name: &str) -> bool {
    operations.iter().any(|(offered, _)| offered == name)
}

/// The methods that this address does take.
fn allowed(offer: &Offer, interaction: &Interaction) -> Vec<&'static str> {
    let methods: &[(Action, &[&'static str])] = if interaction.id().is_some() {
        &[
            (Action::Read, &["GET", "HEAD"]),
            (Action::Update, &["PUT"]),
            (Action::Patch, &["PATCH"]),
            (Action::Delete, &["DELETE"]),
        ]
    } else {
        &[(Action::Search, &["GET", "HEAD"]), (Action::Create, &["POST"])]
    };
    let plain =
        !matches!(interaction, Interaction::History(..) | Interaction::VersionRead(..) | Interaction::Operation(..));
    methods
        .iter()
        .filter(|(action, _)| plain && offer.actions.contains(action))
        .flat_map(|(_, names)| names.iter().copied())
        .collect()
}
