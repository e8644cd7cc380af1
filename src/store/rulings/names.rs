//! How the columns of a ruling are written, as filters and the trail name them.

use crate::rulings::{Body, Scope, Status};

pub(in crate::store) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Draft => "draft",
        Status::InForce => "in_force",
        Status::Superseded => "superseded",
        Status::Withdrawn => "withdrawn",
    }
}

pub(in crate::store) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Case => "case",
        Scope::Standing => "standing",
    }
}

/// Higher bodies have higher numbers.
pub(in crate::store) fn body_rank(body: Body) -> i64 {
    Body::ALL.iter().position(|(one, ..)| *one == body).unwrap_or_default() as i64
}
