//! What may become of a ruling that is there, and what is there already because it was asked for before. A caller whose answer was
//! lost asks once more with the etag of before the change: he is told what he did, not that somebody else was first.

use serde_json::Value;
use sqlx::{AnyConnection, Row};

use super::super::StoreError;
use super::super::audit::Action;
use super::super::disputes::settled_orders;
use super::{StoredRuling, content_id, get_within, status_name};
use crate::rulings::{Ruling, Status};

/// Refuses a change that brings back what no longer counts: beside its successor there would be two rulings on one thing. A change
/// without a status asks for just that, so whoever corrects the text of such a ruling has to name its status.
pub(super) fn expect_possible(before: &Ruling, after: &Ruling) -> Result<(), StoreError> {
    let ended = matches!(before.status, Status::Superseded | Status::Withdrawn);
    let asked = match after.status {
        Status::InForce => {
            "put in force again, which leaving the status out asks for too; record a new ruling, or send its status"
        }
        Status::Draft => "a draft again; record a new ruling, or send its status",
        Status::Superseded | Status::Withdrawn => return Ok(()),
    };
    if ended {
        return Err(StoreError::State { id: before.id.clone(), status: status_name(before.status), asked });
    }
    Ok(())
}

/// Refuses a ruling that supersedes one of those that supersede it, however far away: nobody could say which of them counts.
pub(super) async fn expect_no_circle(transaction: &mut AnyConnection, ruling: &Ruling) -> Result<(), StoreError> {
    let Some(former) = &ruling.supersedes else { return Ok(()) };
    let (mut next, mut seen) = (Some(former.clone()), Vec::new());
    // One that was made before this was refused must not be walked for ever.
    while let Some(id) = next.take_if(|id| !seen.contains(id)) {
        if id == ruling.id {
            return Err(StoreError::Circular { id, former: former.clone() });
        }
        let row = sqlx::query("SELECT name FROM ruling_names WHERE ruling = $1 AND kind = 'supersedes'").bind(&id);
        next = row.fetch_optional(&mut *transaction).await?.map(|row| row.try_get("name")).transpose()?;
        seen.push(id);
    }
    Ok(())
}

/// Names the orders of the cases that a ruling in force settled, or that the one did whose place it takes, whether or not whoever sent it
/// did.
pub(super) async fn name_settled(transaction: &mut AnyConnection, ruling: &mut Ruling) -> Result<(), StoreError> {
    let settled = settled_orders(transaction, &ruling.id, ruling.supersedes.as_deref()).await?;
    let missing: Vec<String> = settled.into_iter().filter(|order| !ruling.orders.contains(order)).collect();
    ruling.orders.extend(missing);
    Ok(())
}

/// True if the ruling was withdrawn for this reason when it had this etag, and nothing happened to it since. The reason stands in the
/// trail alone: once that is archived, nobody can tell any more.
pub(super) async fn was_withdrawn(
    transaction: &mut AnyConnection,
    stored: &StoredRuling,
    etag: &str,
    reason: &str,
) -> Result<bool, StoreError> {
    if stored.ruling.status != Status::Withdrawn || stored.etag_before() != etag {
        return Ok(false);
    }
    let last = sqlx::query(
        "SELECT versions, detail FROM audit_entries WHERE ruling = $1 AND action = $2 ORDER BY number DESC LIMIT 1",
    )
    .bind(&stored.ruling.id)
    .bind(Action::RulingWithdrawn.name())
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(last) = last else { return Ok(false) };
    let read = |column: &str| -> Result<Value, StoreError> {
        Ok(serde_json::from_str(&last.try_get::<String, _>(column)?).unwrap_or_default())
    };
    let (versions, detail) = (read("versions")?, read("detail")?);
    Ok(versions["revision"].as_i64() == Some(stored.revision) && detail["reason"].as_str() == Some(reason))
}

/// The successor as it is, if it took the place of `former` when that had this etag, and nothing happened to either since.
pub(super) async fn taken_by(
    transaction: &mut AnyConnection,
    former: &StoredRuling,
    etag: &str,
    successor: &Ruling,
) -> Result<Option<StoredRuling>, StoreError> {
    if former.ruling.status != Status::Superseded || former.etag_before() != etag {
        return Ok(None);
    }
    let mut successor = successor.clone();
    if successor.id.is_empty() {
        successor.id = content_id(&successor);
    }
    name_settled(transaction, &mut successor).await?;
    match get_within(transaction, &successor.id).await {
        Ok(stored) => Ok(Some(stored).filter(|stored| stored.ruling == successor)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
