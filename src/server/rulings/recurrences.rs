//! Disputes that come back, over all case rulings in force and all open cases on whose orders there is none: read, grouped and drafted
//! off the runtime, one grouping at a time, and kept until a ruling or a case changes, so that the pages of a list and a screen that
//! asks every minute cost next to nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::Message;

use super::{AT_ONCE, RulingDesk, RulingError, convert};
use crate::catalog::Day;
use crate::disputes::Course;
use crate::routing::{RouteError, Router};
use crate::rulings::{Dispute, EmbeddedRuling, MAX_DISPUTES, Party, Recurrence, Recurrences, recurrences};
use crate::server::proto;
use crate::server::status::ServiceError;
use crate::store::Changes;

/// Fewest disputes of a group, where nobody asks for another number: two are a coincidence.
const USUAL_COUNT: usize = 3;
/// Open cases that are grouped: they are embedded on demand, and a committee has seldom so many before it.
const MAX_OPEN: usize = 500;
/// Bytes of a page after which it ends early: clients take four megabytes.
const PAGE_BYTES: usize = 2 << 20;

/// What a grouping was made of.
#[derive(Debug, PartialEq)]
struct Asked {
    /// Number of the last change.
    change: i64,
    /// Numbers of returns and of settled cases.
    cases: (i64, i64),
    today: Day,
    least: f32,
    /// Version of the catalogue, which knows the districts' names.
    catalog: Option<String>,
    /// Standing rulings that had no embedding yet, and covered nothing.
    unread: usize,
}

/// The last grouping.
#[derive(Debug)]
pub(super) struct Kept {
    asked: Asked,
    found: Arc<Found>,
    /// Of the open cases, by their orders: they are embedded once.
    embeddings: HashMap<String, Vec<f32>>,
}

/// Groups, and how many case rulings could not be read for them yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What came back.
    pub recurrences: Recurrences,
    /// Without an embedding by this model yet.
    pub waiting: usize,
}

impl RulingDesk {
    /// Embeds every ruling that waits for it, telling how many are left: for a command, which has nobody to answer meanwhile.
    pub async fn embed_all(&self, mut told: impl FnMut(usize)) -> Result<(), RulingError> {
        loop {
            let left = self.waiting().await;
            told(left);
            if left == 0 {
                return Ok(());
            }
            self.embed_waiting().await?;
        }
    }

    /// The disputes that come back: case rulings in force, grouped where their mean cosine is at least `least`, without those that a
    /// standing ruling in force on `today` covers.
    pub async fn recurrences(self: &Arc<Self>, least: f32, today: Day) -> Result<Arc<Found>, RulingError> {
        // A standing ruling that was recorded just now covers already.
        self.catch_up_with_files().await?;
        let mut kept = Arc::clone(&self.recurring).lock_owned().await;
        let (change, cases) = (self.store.last_change().await?, self.store.case_counts().await?);
        let catalog = self.router.catalog();
        let version = catalog.as_ref().map(|catalog| catalog.version.clone());
        let (unread, pending) = {
            let state = self.state.lock().await;
            (state.standing_waiting(), state.waiting() - state.standing_waiting())
        };
        let asked = Asked { change, cases, today, least, catalog: version, unread };
        if let Some(Kept { asked: before, found, .. }) = &*kept
            && *before == asked
            && found.waiting == pending
        {
            return Ok(Arc::clone(found));
        }
        let mut open = self.store.open_courses(MAX_OPEN).await?;
        let orders = open.iter().map(|course| course.order_id().to_owned()).collect();
        let Latest { mut disputes, left_out, waiting, undecided } = self.latest(orders).await?;
        // A ruling on an order settles the dispute whether it names the case or not: one order is one dispute.
        open.retain(|course| undecided.contains(course.order_id()));
        let known = kept.take().map(|kept| kept.embeddings).unwrap_or_default();
        let router = Arc::clone(&self.router);
        let work = move || {
            let (book, likeness) = (router.rulings(), router.likeness());
            let embeddings = embedded(&router, &open, known)?;
            let own = |course: &Course| course.dispute(embeddings.get(course.order_id())?.clone());
            disputes.extend(open.iter().filter_map(own).map(Arc::new));
            let covered = |dispute: &Dispute| dispute.is_covered(&book, likeness, catalog.as_deref(), today);
            let mut recurrences = recurrences(disputes, covered, least);
            recurrences.left_out += left_out;
            let found = Arc::new(Found { recurrences, waiting });
            // The lock is held by the work itself: a caller who leaves does not let the next one start a second grouping beside it.
            *kept = Some(Kept { asked, found: Arc::clone(&found), embeddings });
            Ok::<_, RouteError>(found)
        };
        Ok(tokio::task::spawn_blocking(work).await.map_err(|_| RulingError::Panicked)??)
    }

    /// The latest disputes of the database; older ones are let go on the way, however many there are. And which of the orders with an
    /// open case no case ruling names.
    async fn latest(&self, open: HashSet<String>) -> Result<Latest, RulingError> {
        let mut latest = Latest { undecided: open, ..Latest::default() };
        let version = &self.router.info().version;
        let mut number = 0;
        loop {
            let Changes { changes, end, .. } = self.store.changes_after(number, AT_ONCE, version, true).await?;
            let Some(end) = end else { break };
            number = end;
            for change in changes {
                let embeddings = change.embeddings.chunks_exact(self.router.info().embedding_size);
                let embeddings: Vec<Vec<f32>> = embeddings.map(<[f32]>::to_vec).collect();
                let is_case = change.stored.ruling.scope == crate::rulings::Scope::Case;
                latest.waiting += usize::from(is_case && embeddings.is_empty());
                for order in change.stored.ruling.orders.iter().filter(|_| is_case) {
                    latest.undecided.remove(order);
                }
                latest.push(Dispute::of(&EmbeddedRuling { ruling: Arc::new(change.stored.ruling), embeddings }));
            }
        }
        Ok(latest)
    }

    pub(super) async fn list_recurrences(
        self: &Arc<Self>,
        request: proto::ListRecurrencesRequest,
    ) -> Result<proto::ListRecurrencesResponse, ServiceError> {
        let size = convert::page_size(request.page_size, 10, 100)?;
        let count = match usize::try_from(request.min_dispute_count) {
            Ok(0) => USUAL_COUNT,
            Ok(count @ 2..) => count,
            _ => {
                let said = "must be 0 or at least 2: one dispute does not come back";
                return Err(ServiceError::invalid("min_dispute_count", "OUT_OF_RANGE", said, "至少为 2 件"));
            }
        };
        let least = request.min_similarity.unwrap_or_else(|| self.router.recurrence_similarity());
        if !(0.0..=1.0).contains(&least) {
            return Err(ServiceError::invalid("min_similarity", "OUT_OF_RANGE", "must lie in [0, 1]", "应在 0 与 1 之间"));
        }
        let skipped = match request.page_token.as_str() {
            "" => Some(0),
            token => token.strip_prefix("skip:").and_then(|number| number.parse::<usize>().ok()),
        };
        let Some(skipped) = skipped else {
            let said = "is none that this service gave out";
            return Err(ServiceError::invalid("page_token", "MALFORMED", said, "翻页标记有误"));
        };
        let today = crate::routing::day_in_the_city(chrono::Utc::now()).ok_or(ServiceError::ModelFailed)?;
        let found = self.recurrences(least, today).await?;
        let Recurrences { groups, disputes, covered, single, left_out } = &found.recurrences;
        // The largest come first, so those that are large enough are the first ones.
        let large = groups.partition_point(|group| group.disputes >= count);
        let mut page = Vec::new();
        let mut bytes = 0;
        for group in groups[..large].iter().skip(skipped).take(size) {
            let group = recurrence(group);
            bytes += group.encoded_len();
            if bytes > PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.push(group);
        }
        let end = skipped.saturating_add(page.len());
        Ok(proto::ListRecurrencesResponse {
            next_page_token: if end < large { format!("skip:{end}") } else { String::new() },
            recurrences: page,
            dispute_count: number(*disputes),
            covered_dispute_count: number(*covered),
            single_dispute_count: number(*single),
            omitted_dispute_count: number(*left_out),
            pending_dispute_count: number(found.waiting),
        })
    }
}

/// The embeddings of open cases' orders: those that are known, and the others computed.
fn embedded(
    router: &Router,
    open: &[Course],
    mut known: HashMap<String, Vec<f32>>,
) -> Result<HashMap<String, Vec<f32>>, RouteError> {
    known.retain(|order, _| open.iter().any(|course| course.order_id() == order));
    let new: Vec<&Course> = open.iter().filter(|course| !known.contains_key(course.order_id())).collect();
    let texts: Vec<&str> = new.iter().map(|course| course.order.fields.text.as_str()).collect();
    let computed = router.embed(&texts)?;
    known.extend(new.iter().map(|course| course.order_id().to_owned()).zip(computed));
    Ok(known)
}

/// The latest disputes so far.
#[derive(Default)]
struct Latest {
    disputes: Vec<Arc<Dispute>>,
    left_out: usize,
    waiting: usize,
    /// Orders with an open case that no case ruling in force names.
    undecided: HashSet<String>,
}

impl Latest {
    fn push(&mut self, dispute: Option<Dispute>) {
        self.disputes.extend(dispute.map(Arc::new));
        if self.disputes.len() >= 2 * MAX_DISPUTES {
            self.disputes.sort_by(|a, b| b.day.cmp(&a.day).then_with(|| a.id.cmp(&b.id)));
            self.left_out += self.disputes.len() - MAX_DISPUTES;
            self.disputes.truncate(MAX_DISPUTES);
        }
    }
}

fn recurrence(group: &Recurrence) -> proto::Recurrence {
    let party =
        |one: &Party| proto::RecurrenceParty { department: one.department.clone(), dispute_count: number(one.disputes) };
    proto::Recurrence {
        matter: group.matter.clone(),
        words: group.words.clone(),
        dispute_count: number(group.disputes),
        first_date: group.first_day.to_string(),
        last_date: group.last_day.to_string(),
        similarity: group.similarity,
        contesting_parties: group.contesting.iter().map(party).collect(),
        lead_parties: group.leads.iter().map(party).collect(),
        lead_share: group.lead_share(),
        orders: group.orders.clone(),
        example: group.example.clone(),
        draft_ruling: Some(convert::of_draft(group.draft.clone())),
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
