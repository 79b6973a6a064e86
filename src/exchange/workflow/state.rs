//! The states of a Task and who may move it (<http://hl7.org/fhir/R4/task.html#statemachine>).
//!
//! ```text
//! draft ─ requested ┬ received ┬ accepted ┬ ready ┬ in-progress ⇄ on-hold ┬ completed
//!                   └──────────┴ rejected └───────┘                       └ failed
//! ```
//! `cancelled` comes from the requester or the owner before work began, after that from the owner alone;
//! `entered-in-error` from whoever made the Task, at any time.

use std::fmt;

/// `Task.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// draft
    Draft,
    /// requested
    Requested,
    /// received
    Received,
    /// accepted
    Accepted,
    /// rejected
    Rejected,
    /// ready
    Ready,
    /// cancelled
    Cancelled,
    /// in-progress
    InProgress,
    /// on-hold
    OnHold,
    /// failed
    Failed,
    /// completed
    Completed,
    /// entered-in-error
    EnteredInError,
}

/// On which side of a Task somebody stands. One may stand on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actor {
    /// It asked for the work.
    pub requester: bool,
    /// It does the work.
    pub owner: bool,
}

impl Actor {
    /// Whoever is not held to one side: the gateway itself, and a caller without organisations of its own.
    pub const EITHER: Self = Self { requester: true, owner: true };
}

/// Why a Task may not be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IllegalMove {
    /// The states do not follow each other.
    #[error("a Task that is {from} cannot become {to}")]
    Order {
        /// Where it is.
        from: Status,
        /// Where it was to go.
        to: Status,
    },
    /// The move belongs to the other side.
    #[error("only the {side} may make a Task that is {from} {to}")]
    Side {
        /// Where it is.
        from: Status,
        /// Where it was to go.
        to: Status,
        /// Whose move it is.
        side: &'static str,
    },
    /// The move must be explained.
    #[error("a Task that becomes {0} needs statusReason")]
    Reason(Status),
    /// A Task does not begin in this state.
    #[error("a Task does not begin as {0}")]
    Beginning(Status),
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Draft,
        Self::Requested,
        Self::Received,
        Self::Accepted,
        Self::Rejected,
        Self::Ready,
        Self::Cancelled,
        Self::InProgress,
        Self::OnHold,
        Self::Failed,
        Self::Completed,
        Self::EnteredInError,
    ];

    /// The FHIR code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Requested => "requested",
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::InProgress => "in-progress",
            Self::OnHold => "on-hold",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::EnteredInError => "entered-in-error",
        }
    }

    /// The state of this code.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether nothing follows but a correction.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled | Self::Failed | Self::Completed | Self::EnteredInError)
    }

    /// Whether the owner has taken the work on, and has not refused or lost it.
    #[must_use]
    pub const fn is_taken(self) -> bool {
        matches!(self, Self::Accepted | Self::Ready | Self::InProgress | Self::OnHold | Self::Completed)
    }

    const fn needs_reason(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled | Self::OnHold | Self::Failed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Whether a Task may begin in a state.
///
/// # Errors
/// [`IllegalMove::Beginning`].
pub fn begin(status: Status) -> Result<(), IllegalMove> {
    match status {
        Status::Draft | Status::Requested => Ok(()),
        other => Err(IllegalMove::Beginning(other)),
    }
}

/// Whether a Task may go from one state to another. The same state again is a change of content.
///
/// # Errors
/// Why not: [`IllegalMove`].
pub fn advance(from: Status, to: Status, actor: Actor, has_reason: bool) -> Result<(), IllegalMove> {
    use Status::{
        Accepted, Cancelled, Completed, Draft, EnteredInError, Failed, InProgress, OnHold, Ready, Received, Rejected,
        Requested,
    };
    if from == to {
        return Ok(());
    }
    // (owner may, requester may)
    let (owner, requester) = match (from, to) {
        (EnteredInError, _) | (Rejected | Cancelled | Failed | Completed, Draft) => {
            return Err(IllegalMove::Order { from, to });
        }
        (_, EnteredInError) | (Draft, Requested) => (false, true),
        (Draft | Requested | Received | Accepted | Ready, Cancelled) => (true, true),
        (InProgress | OnHold, Cancelled)
        | (Requested, Received | Accepted | Rejected)
        | (Received, Accepted | Rejected)
        | (Accepted, Ready | InProgress)
        | (Ready, InProgress)
        | (InProgress, OnHold | Completed | Failed)
        | (OnHold, InProgress | Completed | Failed) => (true, false),
        _ => return Err(IllegalMove::Order { from, to }),
    };
    if !((owner && actor.owner) || (requester && actor.requester)) {
        let side = if owner { "owner" } else { "requester" };
        return Err(IllegalMove::Side { from, to, side });
    }
    if to.needs_reason() && !has_reason {
        return Err(IllegalMove::Reason(to));
    }
    Ok(())
}

/// The shortest legal way from one state to another by the owner's own moves, for formats that leave steps out (a native
/// event that says a visit was made, when nobody said that the work began). The states passed through, `to` last.
#[must_use]
pub fn way(from: Status, to: Status) -> Option<Vec<Status>> {
    let actor = Actor { requester: false, owner: true };
    let mut ways = vec![vec![from]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let Some(last) = way.last().copied() else { continue };
            if last == to {
                return Some(way.into_iter().skip(1).collect());
            }
            for next in Status::ALL {
                if !way.contains(&next) && advance(last, next, actor, true).is_ok() && (next == to || !next.is_final())
                {
                    let mut further = way.clone();
                    further.push(next);
                    longer.push(further);
                }
            }
        }
        ways = longer;
    }
    None
}
