//! Rulings behind gRPC: what `proto/paidan/v1/rulings.proto` promises.
//!
//! [`RulingDesk`] keeps the router's book of rulings and the database in step, on every server of that database: whatever is
//! recorded, here or elsewhere, comes back as a change with a number, and changes are applied in their order. The server that
//! recorded a ruling applies it before it answers, so that it counts in the very next answer.
//!
//! `service` answers the calls, `files` those that carry files, `recurrences` finds what is disputed again and again, `convert`
//! knows proto and record, `applied` how far the book has come.

mod applied;
pub(super) mod convert;
mod files;
mod recurrences;
mod search;
mod service;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, watch};

pub use recurrences::Found as FoundRecurrences;
pub(super) use service::Rulings;

use super::in_step::Turns;
use crate::catalog::DepartmentCatalog;
use crate::routing::{RouteError, Router};
use crate::rulings::{EmbeddedRuling, Known, Status};
use crate::store::{Change, Changes, Embedded, Store, StoreError};
use applied::Applied;

/// How soon a server hears of what another recorded.
const FOLLOW: Duration = Duration::from_millis(500);

/// Changes that are read at once, and most texts that are embedded while others wait for the book.
const AT_ONCE: usize = 200;

/// Texts that are embedded at once while nobody waits for the book; a ruling's are not parted. Few, since whoever records a ruling
/// meanwhile has it embedded by the same processor.
const TEXTS_AT_ONCE: usize = 64;

/// Bytes of rulings in an answer, beyond which none is added: clients take no message above 4 MiB, and one ruling may have nearly as
/// many.
const MAX_PAGE_BYTES: usize = 1 << 20;

/// Why the rulings could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum RulingError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model could not embed them.
    #[error(transparent)]
    Model(#[from] RouteError),
    /// Our own fault.
    #[error("embedding rulings panicked")]
    Panicked,
}

/// The rulings of one server.
pub struct RulingDesk {
    store: Store,
    router: Arc<Router>,
    /// The names that may be used, and the catalogue that they are of.
    known: RwLock<(Option<Arc<DepartmentCatalog>>, Arc<Known>)>,
    state: Mutex<Applied>,
    /// Held by whoever embeds rulings that wait for it.
    embedding: Mutex<()>,
    /// Files that may still be imported now.
    imports: Arc<Semaphore>,
    /// The last grouping of disputes; held by whoever makes the next.
    recurring: Arc<Mutex<Option<recurrences::Kept>>>,
}

impl RulingDesk {
    /// Reads every ruling that counts into the router's book. Standing rulings are embedded now if they are not yet; case rulings
    /// by [`Self::follow`], so that a new model need not wait for a hundred thousand of them.
    pub async fn open(store: Store, router: Arc<Router>) -> Result<Self, RulingError> {
        let catalog = router.catalog();
        let known = Arc::new(names(&router, catalog.as_deref()));
        let known = RwLock::new((catalog, known));
        let desk = Self {
            store,
            router,
            known,
            state: Mutex::default(),
            embedding: Mutex::default(),
            imports: Arc::new(Semaphore::new(files::IMPORTS)),
            recurring: Arc::default(),
        };
        let last = desk.store.last_change().await?;
        let mut state = desk.state.lock().await;
        loop {
            let version = &desk.router.info().version;
            let Changes { changes, end, .. } = desk.store.changes_after(state.number, AT_ONCE, version, true).await?;
            let Some(end) = end else { break };
            desk.apply_bulk(&mut state, changes).await?;
            state.number = end;
        }
        // What changed while it was read is read again: harmless, and nothing is missed.
        state.number = last;
        drop(state);
        desk.embed_standing().await?;
        Ok(desk)
    }

    /// The names that rulings and returns may use: of the catalogue that is in use now.
    pub(super) fn known(&self) -> Arc<Known> {
        let catalog = self.router.catalog();
        {
            // Whoever panicked while it held the lock had exchanged both, or nothing.
            let kept = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if kept.0.as_ref().map(Arc::as_ptr) == catalog.as_ref().map(Arc::as_ptr) {
                return Arc::clone(&kept.1);
            }
        }
        let known = Arc::new(names(&self.router, catalog.as_deref()));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = (catalog, Arc::clone(&known));
        known
    }

    /// The router whose book it keeps.
    pub(super) fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Rulings whose embeddings are still to be computed.
    pub async fn waiting(&self) -> usize {
        self.state.lock().await.waiting()
    }

    /// Applies everything that changed since. When it returns, the next batch that is routed knows it. A caller who leaves does
    /// not stop it: half of it done and the turn given up, a later change could be undone by an earlier one.
    pub async fn catch_up(self: &Arc<Self>) -> Result<(), RulingError> {
        self.catch_up_with(None).await
    }

    /// The same, and waits for the standing rulings that are still to be embedded, while the book is free for others. What a file
    /// brought counts from then on.
    pub(super) async fn catch_up_with_files(self: &Arc<Self>) -> Result<(), RulingError> {
        self.catch_up().await?;
        let desk = Arc::clone(self);
        tokio::spawn(async move { desk.embed_standing().await }).await.map_err(|_| RulingError::Panicked)?
    }

    /// As [`Self::catch_up`]; and this ruling, which was recorded just now, does not wait behind those of a file.
    async fn catch_up_with(self: &Arc<Self>, own: Option<String>) -> Result<(), RulingError> {
        let desk = Arc::clone(self);
        tokio::spawn(async move { desk.apply_changes(own).await }).await.map_err(|_| RulingError::Panicked)?
    }

    async fn apply_changes(&self, own: Option<String>) -> Result<(), RulingError> {
        let mut state = self.state.lock().await;
        loop {
            let version = &self.router.info().version;
            let Changes { changes, end, full } = self.store.changes_after(state.number, AT_ONCE, version, false).await?;
            let Some(end) = end else { break };
            changes.iter().for_each(|change| state.note(&change.stored.ruling.id));
            // Somebody imported a file: whoever records one ruling now must not wait for all of it.
            if full || texts_to_embed(&changes, self.router.info().embedding_size) > AT_ONCE {
                self.apply_bulk(&mut state, changes).await?;
            } else {
                self.apply(changes).await?;
            }
            state.number = end;
        }
        if let Some(own) = own.filter(|own| state.waits(own)) {
            state.note(&own);
            self.apply(vec![self.as_it_is(&own).await?]).await?;
            state.served(&own);
        }
        Ok(())
    }

    /// Keeps the book in step until the server drains.
    pub(super) async fn follow(self: Arc<Self>, draining: watch::Receiver<bool>) {
        let trouble = "the rulings cannot be brought up to date; answers go on with those known";
        let mut turns = Turns::new(FOLLOW, draining, trouble);
        while turns.next().await {
            let outcome = match self.catch_up().await {
                Ok(()) => self.embed_for(FOLLOW).await,
                failed => failed,
            };
            turns.ended(outcome);
        }
    }

    /// Applies what costs nothing. Rulings that are still to be embedded wait for [`Self::follow`], or for whoever brought them, and
    /// decide the orders that they name in the meantime: for that they need no embedding.
    async fn apply_bulk(&self, state: &mut Applied, changes: Vec<Change>) -> Result<(), RulingError> {
        let width = self.router.info().embedding_size;
        let (later, now): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|change| lacks_embeddings(change, width));
        let mut unlike = Vec::with_capacity(later.len());
        for change in later {
            state.wait(change.stored.ruling.id.clone(), change.stored.ruling.scope);
            unlike.push(EmbeddedRuling { ruling: Arc::new(change.stored.ruling), embeddings: Vec::new() });
        }
        self.put(unlike).await?;
        self.apply(now).await
    }

    /// Embeds rulings that wait for it, for about so long: then it is time to hear of changes again.
    async fn embed_for(&self, long: Duration) -> Result<(), RulingError> {
        let since = Instant::now();
        let mut any = false;
        while since.elapsed() < long && self.embed_waiting().await? {
            any = true;
        }
        if any {
            let left = self.waiting().await;
            tracing::info!(left, "rulings embedded for this model");
        }
        Ok(())
    }

    /// Embeds the standing rulings that wait for it.
    async fn embed_standing(&self) -> Result<(), RulingError> {
        while self.state.lock().await.standing_waiting() > 0 {
            self.embed_waiting().await?;
        }
        Ok(())
    }

    /// Embeds some of the rulings that wait for it; false if none does. The book is free meanwhile: a ruling that is recorded now
    /// counts before these do.
    async fn embed_waiting(&self) -> Result<bool, RulingError> {
        let _turn = self.embedding.lock().await;
        let ids = self.state.lock().await.take(TEXTS_AT_ONCE);
        let (mut changes, mut texts) = (Vec::new(), 0);
        for id in &ids {
            if texts >= TEXTS_AT_ONCE {
                break;
            }
            let change = self.as_it_is(id).await?;
            texts += change.stored.ruling.texts().len();
            changes.push(change);
        }
        if changes.is_empty() {
            return Ok(false);
        }
        let router = Arc::clone(&self.router);
        let work = tokio::task::spawn_blocking(move || embedded(&router, changes));
        let (mut rulings, mut fresh) = work.await.map_err(|_| RulingError::Panicked)??;
        let mut state = self.state.lock().await;
        let unchanged = state.unchanged(rulings.iter().map(|one| one.ruling.id.as_str()));
        rulings.retain(|one| unchanged.contains(&one.ruling.id));
        fresh.retain(|one| unchanged.contains(&one.ruling));
        self.put(rulings).await?;
        state.finish(&unchanged);
        drop(state);
        self.keep(&fresh).await;
        Ok(true)
    }

    /// A ruling that waits, as it counts by now.
    async fn as_it_is(&self, id: &str) -> Result<Change, RulingError> {
        let change = self.store.change_of(id, &self.router.info().version).await?;
        Ok(change.ok_or_else(|| StoreError::NotFound { id: id.to_owned() })?)
    }

    /// Puts rulings into the book as they now are, embedding those that are not yet.
    async fn apply(&self, changes: Vec<Change>) -> Result<(), RulingError> {
        let router = Arc::clone(&self.router);
        let work = tokio::task::spawn_blocking(move || embedded(&router, changes));
        let (rulings, fresh) = work.await.map_err(|_| RulingError::Panicked)??;
        self.put(rulings).await?;
        self.keep(&fresh).await;
        Ok(())
    }

    /// Exchanges the book for one with these rulings. Whoever calls it holds the state.
    async fn put(&self, rulings: Vec<EmbeddedRuling>) -> Result<(), RulingError> {
        if rulings.is_empty() {
            return Ok(());
        }
        let router = Arc::clone(&self.router);
        let work = tokio::task::spawn_blocking(move || router.set_rulings(Arc::new(router.rulings().with(&rulings))));
        Ok(work.await.map_err(|_| RulingError::Panicked)??)
    }

    /// They count already; kept embeddings only save time at the next start.
    async fn keep(&self, fresh: &[Embedded]) {
        if fresh.is_empty() {
            return;
        }
        if let Err(error) = self.store.keep_embeddings(&self.router.info().version, fresh).await {
            tracing::warn!(%error, "embeddings of rulings could not be kept");
        }
    }
}

/// How many texts of them have no embedding yet.
fn texts_to_embed(changes: &[Change], width: usize) -> usize {
    changes.iter().filter(|change| lacks_embeddings(change, width)).map(|change| change.stored.ruling.texts().len()).sum()
}

/// True for a ruling that counts and that has not an embedding for each of its texts.
fn lacks_embeddings(change: &Change, width: usize) -> bool {
    let Change { stored, embeddings, .. } = change;
    stored.ruling.status == Status::InForce && embeddings.len() != stored.ruling.texts().len() * width
}

/// The rulings with their embeddings, and those embeddings that had to be computed.
fn embedded(router: &Router, changes: Vec<Change>) -> Result<(Vec<EmbeddedRuling>, Vec<Embedded>), RouteError> {
    let width = router.info().embedding_size;
    let missing: Vec<usize> = (0..changes.len()).filter(|i| lacks_embeddings(&changes[*i], width)).collect();
    let texts: Vec<&str> = missing.iter().flat_map(|i| changes[*i].stored.ruling.texts()).collect();
    let mut computed = router.embed(&texts)?.into_iter();
    let mut fresh = Vec::with_capacity(missing.len());
    let mut rulings = Vec::with_capacity(changes.len());
    for (i, change) in changes.iter().enumerate() {
        let stored = &change.stored;
        let embeddings: Vec<Vec<f32>> = if missing.binary_search(&i).is_ok() {
            let own: Vec<Vec<f32>> = computed.by_ref().take(stored.ruling.texts().len()).collect();
            fresh.push(Embedded { ruling: stored.ruling.id.clone(), revision: stored.revision, vectors: own.concat() });
            own
        } else {
            change.embeddings.chunks_exact(width).map(<[f32]>::to_vec).collect()
        };
        rulings.push(EmbeddedRuling { ruling: Arc::new(stored.ruling.clone()), embeddings });
    }
    Ok((rulings, fresh))
}

/// The names that rulings may use: the catalogue's, or the model's where there is no catalogue.
pub fn known(router: &Router) -> Known {
    names(router, router.catalog().as_deref())
}

fn names(router: &Router, catalog: Option<&DepartmentCatalog>) -> Known {
    match catalog {
        Some(catalog) => Known::of_catalog(catalog),
        None => Known::of_model(router.info().departments.iter().map(Arc::as_ref)),
    }
}
