//! Writes what the service answered, and that its catalogue was exchanged, into the audit trail, behind the answers: an answer never
//! waits for the database. Entries that come faster than they are written wait in a bounded queue; if that is full, because the
//! database is away, they are counted, and the trail says how many are missing and when, so that a gap is never silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::proto;
use crate::disputes::OrderRecord;
use crate::store::{Action, NewEntry, Store, StoreError};
use crate::text::{AppealFields, is_persons_number, masked, masked_as_written};

/// Entries that wait at most: some seconds of the heaviest load.
const WAITING: usize = 8_192;
/// Bytes of the orders' texts among them at most: eight thousand of the longest would be half a gigabyte. Beyond, an answer is still
/// noted, and its order is not remembered.
const MAX_HELD: usize = 32 << 20;
/// Entries of one transaction.
const AT_ONCE: usize = 512;
/// How soon a database that refused is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the last entries may take when the server stops.
pub(super) const LAST_ENTRIES: Duration = Duration::from_secs(3);

/// The trail of one server. Without a store nothing is written.
#[derive(Debug, Clone, Default)]
pub(super) struct AuditTrail {
    sender: Option<mpsc::Sender<Note>>,
    missed: Arc<AtomicU64>,
    /// Bytes of the texts that wait.
    held: Arc<AtomicUsize>,
}

/// What waits to be written.
enum Note {
    /// What was done, and the order if it was an answer about one that has a number.
    Entry(Box<(NewEntry, Option<OrderRecord>)>),
    /// Somebody who wants to know when everything before is written.
    Flush(oneshot::Sender<()>),
}

impl AuditTrail {
    /// Starts the writer; it ends when the last copy of the trail is dropped and everything is written.
    pub(super) fn start(store: Store) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let trail = Self { sender: Some(sender), missed: Arc::default(), held: Arc::default() };
        let writer = tokio::spawn(write(store, receiver, Arc::clone(&trail.missed), Arc::clone(&trail.held)));
        (trail, writer)
    }

    /// Waits until what was noted so far is written; at once if nothing is.
    pub(super) async fn flushed(&self) {
        let Some(sender) = &self.sender else { return };
        let (written, done) = oneshot::channel();
        if sender.send(Note::Flush(written)).await.is_ok() {
            // An error means that the writer has ended: nothing more will be written.
            let _ = done.await;
        }
    }

    /// A hold on it that does not keep the writer from ending.
    pub(super) fn loosely(&self) -> LooseTrail {
        LooseTrail { sender: self.sender.as_ref().map(mpsc::Sender::downgrade), missed: Arc::clone(&self.missed) }
    }

    /// Notes an answer: what was said, on which versions. Nothing of the text; the order itself is remembered apart from the
    /// trail, masked, if it has a number.
    pub(super) fn answered(&self, response: &proto::RouteAppealResponse, order: Option<OrderRecord>) {
        let Some(sender) = &self.sender else { return };
        let lead = response.lead_department.as_ref();
        let ruling = response.basis.iter().find_map(|basis| match &basis.kind {
            Some(proto::basis::Kind::StandingRuling(ruling)) => Some((ruling.ruling_id.clone(), false)),
            Some(proto::basis::Kind::RulingOnOrder(ruling)) => Some((ruling.ruling_id.clone(), true)),
            _ => None,
        });
        let (ruling, on_order) = ruling.unzip();
        let detail = serde_json::json!({
            "lead": lead.and_then(|lead| lead.department.as_ref()).map(|department| &department.id),
            "probability": lead.map(|lead| lead.probability),
            "dispute_risk": response.dispute_risk,
            "proposed_dispatch_risk": response.proposed_dispatch_risk,
            "needs_review": response.needs_review,
            "unit": response.unit.as_ref().map(|unit| &unit.display_name),
            // Whether the ruling was one on this very order, or on all of its kind.
            "ruling_on_order": on_order,
        });
        let versions = serde_json::json!({ "model": response.model_version, "catalog": response.catalog_version });
        let entry = NewEntry {
            order_id: without_person(&response.appeal_id),
            ruling: ruling.unwrap_or_default(),
            versions: versions.to_string(),
            detail: detail.to_string(),
            ..NewEntry::now(Action::Answered, "paidan")
        };
        let order = order.filter(|order| self.held.load(Relaxed) + order.fields.text.len() <= MAX_HELD);
        let bytes = order.as_ref().map_or(0, |order| order.fields.text.len());
        self.held.fetch_add(bytes, Relaxed);
        if sender.try_send(Note::Entry(Box::new((entry, order)))).is_err() {
            self.held.fetch_sub(bytes, Relaxed);
            self.missed.fetch_add(1, Relaxed);
        }
    }
}

/// The trail for those who outlive the server.
#[derive(Debug, Clone, Default)]
pub(super) struct LooseTrail {
    sender: Option<mpsc::WeakSender<Note>>,
    missed: Arc<AtomicU64>,
}

impl LooseTrail {
    /// Notes something that was done; nothing where nothing is written. After the end it is too late, and logged.
    pub(super) fn note(&self, entry: NewEntry) {
        let Some(sender) = &self.sender else { return };
        let Some(sender) = sender.upgrade() else {
            tracing::error!(action = entry.action.name(), "the audit trail has ended already; this is not in it");
            return;
        };
        if sender.try_send(Note::Entry(Box::new((entry, None)))).is_err() {
            self.missed.fetch_add(1, Relaxed);
        }
    }
}

/// An order's number as it may be kept: should somebody have put a phone in its place, that is masked.
fn without_person(order_id: &str) -> String {
    let order_id = order_id.trim();
    if is_persons_number(order_id) { masked(order_id) } else { order_id.to_owned() }
}

/// An appeal as it may be kept: its words masked, its number as it is, nothing proposed.
pub(super) fn kept(fields: AppealFields) -> AppealFields {
    AppealFields {
        id: fields.id.trim().to_owned(),
        text: masked_as_written(fields.text.trim_end()),
        category: fields.category.iter().map(|level| masked_as_written(level)).collect(),
        appeal_type: masked_as_written(&fields.appeal_type),
        district: masked_as_written(&fields.district),
        channel: masked_as_written(&fields.channel),
        received_at: fields.received_at,
        proposed_departments: Vec::new(),
    }
}

/// What is to be written at once.
struct Batch {
    entries: Vec<NewEntry>,
    orders: Vec<OrderRecord>,
    /// What was tried before, with the gap that it told.
    tried: Option<(Vec<NewEntry>, u64)>,
}

impl Batch {
    /// Writes it behind the `last` entry of this writer, with the gap of so many entries that were missed; gives the gap that the trail
    /// tells now. Tried again, it is not written again: the database may have taken it and been lost before it said so.
    async fn written(&mut self, store: &Store, last: &mut i64, missed: u64) -> Result<u64, StoreError> {
        if let Some((entries, gap)) = &self.tried
            && let Some(first) = entries.first()
            && store.has_entry_after(*last, first).await?
        {
            return Ok(*gap);
        }
        let detail = serde_json::json!({ "entries": missed }).to_string();
        let gap = (missed > 0).then(|| NewEntry { detail, ..NewEntry::now(Action::Missed, "paidan") });
        let (entries, _) = self.tried.insert((self.entries.iter().cloned().chain(gap).collect(), missed));
        *last = store.append_answers(entries, &self.orders).await?;
        Ok(missed)
    }
}

/// Writes what comes, in order, until nothing comes any more. What a database refused is tried again until it takes it.
async fn write(store: Store, mut receiver: mpsc::Receiver<Note>, missed: Arc<AtomicU64>, held: Arc<AtomicUsize>) {
    let mut notes = Vec::with_capacity(AT_ONCE);
    let (mut told, mut last) = (false, 0);
    while receiver.recv_many(&mut notes, AT_ONCE).await > 0 {
        let (mut entries, mut orders, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for note in notes.drain(..) {
            match note {
                Note::Entry(noted) => {
                    let (entry, order) = *noted;
                    entries.push(entry);
                    held.fetch_sub(order.as_ref().map_or(0, |order| order.fields.text.len()), Relaxed);
                    orders.extend(order.map(|order| OrderRecord { fields: kept(order.fields), ..order }));
                }
                Note::Flush(done) => waiting.push(done),
            }
        }
        let mut batch = Batch { entries, orders, tried: None };
        while !batch.entries.is_empty() || missed.load(Relaxed) > 0 {
            match batch.written(&store, &mut last, missed.load(Relaxed)).await {
                Ok(gap) => {
                    missed.fetch_sub(gap, Relaxed);
                    told = false;
                    break;
                }
                Err(error) if !told => {
                    tracing::error!(%error, "the audit trail cannot be written; answers go on, and what is missed is counted");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
        // Whoever waited may have left.
        for done in waiting {
            let _ = done.send(());
        }
    }
}
