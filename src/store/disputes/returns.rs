//! Returns: each is kept once, whoever reports it and how often; the trail and the case are written in the same step.

use sqlx::AnyConnection;

use super::super::audit::{self, Action, NewEntry};
use super::super::{Store, StoreError};
use super::orders::{take_turn, upsert};
use super::{course_within, written};
use crate::disputes::{Course, OrderRecord, Return, case_id};

impl Store {
    /// Records a return and answers the course of its order with it. One that is there already changes nothing, also after the
    /// case was settled; a new one after that is refused. `adopted` is the order itself, for one that was never routed here.
    pub async fn report_return(&self, new: Return, adopted: Option<OrderRecord>) -> Result<Course, StoreError> {
        let mut transaction = self.begin().await?;
        take_turn(&mut transaction).await?;
        let before = course_within(&mut transaction, &new.order_id).await?;
        let known = before.as_ref().and_then(|course| course.returns.iter().find(|one| one.id == new.id));
        if let Some(known) = known {
            if !same_report(known, &new) {
                return Err(StoreError::OtherReturn { id: new.id });
            }
            return before.ok_or(StoreError::NoOrder { order_id: new.order_id });
        }
        match &before {
            None if adopted.is_none() => return Err(StoreError::NoOrder { order_id: new.order_id }),
            Some(Course { settlement: Some(settlement), .. }) => {
                return Err(StoreError::Settled { order_id: new.order_id, ruling: settlement.ruling.clone() });
            }
            Some(Course { order, .. }) if order.closed => return Err(StoreError::OrderClosed { order_id: new.order_id }),
            _ => {}
        }
        // Of an order that was routed in the meantime what is there counts.
        let adopted = adopted.filter(|_| before.is_none()).map(OrderRecord::dated);
        if let Some(adopted) = &adopted {
            upsert(&mut transaction, &[adopted]).await?;
        }
        insert(&mut transaction, &new).await?;
        let opened_before = before.and_then(|course| course.case()).map(|(_, opened_at)| opened_at);
        let unknown = || StoreError::NoOrder { order_id: new.order_id.clone() };
        let course = course_within(&mut transaction, &new.order_id).await?.ok_or_else(unknown)?;
        if new.district.is_some() {
            // Who looks for repeats reads the order alone.
            upsert(&mut transaction, &[&course.order]).await?;
        }
        let mut entries = vec![entry(&new)];
        match (opened_before, course.case()) {
            (None, Some((cause, opened_at))) => {
                let id = case_id(&new.order_id);
                sqlx::query("INSERT INTO cases (id, order_id, opened_at, ruling, closed_at) VALUES ($1, $2, $3, '', '')")
                    .bind(&id)
                    .bind(&new.order_id)
                    .bind(written(opened_at))
                    .execute(&mut *transaction)
                    .await?;
                let detail = serde_json::json!({ "case": id, "cause": cause.name() }).to_string();
                let order_id = new.order_id.clone();
                entries.push(NewEntry { order_id, detail, ..NewEntry::now(Action::CaseOpened, &new.actor) });
            }
            // Whoever reports late may report what opened it.
            (Some(before), Some((_, opened_at))) if opened_at != before => {
                sqlx::query("UPDATE cases SET opened_at = $2 WHERE order_id = $1")
                    .bind(&new.order_id)
                    .bind(written(opened_at))
                    .execute(&mut *transaction)
                    .await?;
            }
            _ => {}
        }
        audit::append(&mut transaction, &entries).await?;
        transaction.commit().await?;
        Ok(course)
    }
}

/// True if both say the same: only what the caller says is compared, not what was found out from it.
fn same_report(known: &Return, new: &Return) -> bool {
    let said = |one: &Return| (one.objection.department.clone(), one.objection.unit.clone(), one.objection.reason);
    said(known) == said(new)
}

async fn insert(transaction: &mut AnyConnection, new: &Return) -> Result<(), StoreError> {
    let Return { objection, .. } = new;
    sqlx::query(
        "INSERT INTO returns (id, order_id, department, unit, reason, note, day, returned_at, reported_at, deadline, contests, \
         actor, district) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(&new.id)
    .bind(&new.order_id)
    .bind(&objection.department)
    .bind(objection.unit.as_deref().unwrap_or_default())
    .bind(objection.reason.id())
    .bind(&new.note)
    .bind(objection.day.to_string())
    .bind(written(new.returned_at))
    .bind(written(new.reported_at))
    .bind(new.deadline.map(|day| day.to_string()).unwrap_or_default())
    .bind(new.contests.as_deref().unwrap_or_default())
    .bind(&new.actor)
    .bind(new.district.as_deref().unwrap_or_default())
    .execute(&mut *transaction)
    .await
    .map_err(|error| match error.as_database_error() {
        // The id is another order's: a request id that was used twice.
        Some(taken) if taken.is_unique_violation() => StoreError::OtherReturn { id: new.id.clone() },
        _ => error.into(),
    })?;
    Ok(())
}

/// Who returned what and why; not the note, which may quote the citizen.
fn entry(new: &Return) -> NewEntry {
    let detail = serde_json::json!({
        "return": new.id, "department": new.objection.department, "unit": new.objection.unit, "reason": new.objection.reason,
        "returned_at": written(new.returned_at), "late": new.late(),
    });
    NewEntry {
        order_id: new.order_id.clone(),
        ruling: new.contests.clone().unwrap_or_default(),
        detail: detail.to_string(),
        ..NewEntry::now(Action::Returned, &new.actor)
    }
}
