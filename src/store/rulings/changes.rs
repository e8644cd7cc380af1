//! What may become of a ruling that is there, and what is there already because it was asked for before. A caller whose answer was
//! lost asks once more with the etag of before the change: he is told what he did, not that somebody else was first.

use chrono::Utc;
use serde_json::Value;
use sqlx::{AnyConnection, Row};

use super::super::StoreError;
use super::super::audit::{self, Action, NewEntry};
use super::super::disputes::settled_orders;
use super::{StoredRuling, content_id, get_within, status_name, write};
use crate::routing::day_in_the_city;
use crate::rulings::{Ruling, Scope, Status};

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
    let settled = settled_orders(transaction, ruling).await?;
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

/// The former ruling no longer counts, or only until its successor's first day. One that is superseded by the same successor already
/// is so from the day that this one now has; one whose place another has taken cannot be superseded once more.
pub(super) async fn supersede(
    transaction: &mut AnyConnection,
    former: &str,
    successor: &Ruling,
    actor: &str,
) -> Result<(), StoreError> {
    let mut former = get_within(transaction, former).await?;
    let lies_ahead = day_in_the_city(Utc::now()).zip(successor.effective.from).is_some_and(|(today, first)| first > today);
    if lies_ahead && former.ruling.status == Status::InForce && former.ruling.scope == Scope::Case {
        let asked =
            "superseded by one whose first day is still to come, or neither would hold until then; record that one on the day";
        return Err(StoreError::State { id: former.ruling.id, status: status_name(Status::InForce), asked });
    }
    match former.ruling.status {
        Status::Superseded => {
            let other = sqlx::query(
                "SELECT r.id AS id FROM ruling_names n JOIN rulings r ON r.id = n.ruling WHERE n.kind = 'supersedes' \
                 AND n.name = $1 AND n.ruling <> $2 AND r.status IN ('in_force', 'superseded') LIMIT 1",
            )
            .bind(&former.ruling.id)
            .bind(&successor.id)
            .fetch_optional(&mut *transaction)
            .await?;
            if other.is_some() {
                let (id, status) = (former.ruling.id, status_name(Status::Superseded));
                return Err(StoreError::State { id, status, asked: "superseded once more; supersede its successor" });
            }
            // One that was a draft until then never held; one that was recorded as superseded did.
            if former.revision == 1 || first_of_successor(transaction, &former.ruling.id).await?.is_some() {
                succeeded_on(transaction, &former.ruling, successor).await?;
            }
            return Ok(());
        }
        Status::Withdrawn => {
            let id = former.ruling.id;
            return Err(StoreError::State { id, status: status_name(Status::Withdrawn), asked: "superseded" });
        }
        Status::Draft | Status::InForce => {}
    }
    let held = former.ruling.status == Status::InForce;
    former.ruling.status = Status::Superseded;
    write(transaction, &mut former).await?;
    if held {
        succeeded_on(transaction, &former.ruling, successor).await?;
    }
    let from = successor.effective.from.filter(|first| held && former.ruling.until(*first).is_some());
    let detail = serde_json::json!({ "successor": successor.id, "from": from.map(|day| day.to_string()) });
    audit::append(transaction, &[NewEntry::of_ruling(Action::RulingSuperseded, actor, &former, &detail)]).await?;
    Ok(())
}

/// Notes the first day of a ruling's successor; where it is another than before, every server hears so.
async fn succeeded_on(transaction: &mut AnyConnection, former: &Ruling, successor: &Ruling) -> Result<(), StoreError> {
    let first = successor.effective.from.map(|day| day.to_string()).unwrap_or_default();
    if first_of_successor(transaction, &former.id).await?.is_some_and(|known| known == first) {
        return Ok(());
    }
    let change: i64 =
        sqlx::query_scalar("UPDATE last_change SET number = number + 1 RETURNING number").fetch_one(&mut *transaction).await?;
    let update = sqlx::query("UPDATE rulings SET change = $2, succeeded_on = $3 WHERE id = $1");
    update.bind(&former.id).bind(change).bind(first).execute(&mut *transaction).await?;
    Ok(())
}

/// The first day of a ruling's successor as it was noted, if it was.
async fn first_of_successor(transaction: &mut AnyConnection, id: &str) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT succeeded_on FROM rulings WHERE id = $1").bind(id).fetch_optional(&mut *transaction).await?;
    let first: Option<String> = row.map(|row| row.try_get("succeeded_on")).transpose()?;
    Ok(first.filter(|first| !first.is_empty()))
}

/// True for a superseded ruling that holds for what came in before its successor's first day.
pub(super) async fn still_counts(transaction: &mut AnyConnection, ruling: &Ruling) -> Result<bool, StoreError> {
    let first = first_of_successor(transaction, &ruling.id).await?.and_then(|first| first.parse().ok());
    Ok(first.is_some_and(|first| ruling.until(first).is_some()))
}
