//! Values as they stand in columns.

use jiff::Timestamp;

use crate::store::error::StoreError;
use crate::store::id::PersonId;
use crate::store::new::{Direction, Disposition};
use crate::store::stored::{Role, State};

pub(in crate::store) fn time(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::Damaged("time"))
}

pub(in crate::store) fn number(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Incoherent("a number passes 63 bits"))
}

pub(in crate::store) fn count(value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| StoreError::Damaged("number"))
}

pub(in crate::store) fn size(value: i64) -> Result<usize, StoreError> {
    usize::try_from(value).map_err(|_| StoreError::Damaged("length"))
}

/// Person 0 is nobody.
pub(in crate::store) fn person(column: i64) -> Option<PersonId> {
    (column != 0).then_some(PersonId(column))
}

pub(in crate::store) fn direction_code(direction: Direction) -> i64 {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

pub(in crate::store) fn direction(code: i64) -> Result<Direction, StoreError> {
    match code {
        0 => Ok(Direction::Inbound),
        1 => Ok(Direction::Outbound),
        _ => Err(StoreError::Damaged("direction")),
    }
}

pub(in crate::store) fn disposition_code(disposition: Disposition) -> i64 {
    match disposition {
        Disposition::Accepted => 0,
        Disposition::Refused => 1,
        Disposition::Older => 2,
    }
}

pub(in crate::store) fn disposition(code: i64) -> Result<Disposition, StoreError> {
    match code {
        0 => Ok(Disposition::Accepted),
        1 => Ok(Disposition::Refused),
        2 => Ok(Disposition::Older),
        _ => Err(StoreError::Damaged("disposition")),
    }
}

pub(in crate::store) fn role_code(role: Role) -> i64 {
    match role {
        Role::Owner => 0,
        Role::Requester => 1,
    }
}

pub(in crate::store) const DUE: i64 = 0;
pub(in crate::store) const IN_FLIGHT: i64 = 1;
pub(in crate::store) const DONE: i64 = 2;
pub(in crate::store) const DEAD: i64 = 3;

pub(in crate::store) fn state(code: i64) -> Result<State, StoreError> {
    match code {
        DUE => Ok(State::Due),
        IN_FLIGHT => Ok(State::InFlight),
        DONE => Ok(State::Done),
        DEAD => Ok(State::Dead),
        _ => Err(StoreError::Damaged("state")),
    }
}
