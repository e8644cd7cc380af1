//! Rulings behind gRPC: what `proto/paidan/v1/rulings.proto` promises.
//!
//! [`RulingDesk`] keeps the router's book of rulings and the database in step, on every server of that database: whatever is
//! recorded, here or elsewhere, comes back as a change with a number, and changes are applied in their order. The server that
//! recorded a ruling applies it before it answers, so that it counts in the very next answer.
//!
//! `service` answers the calls, `files` those that carry files, `recurrences` finds what is disputed again and again, `convert` knows proto and record.

pub(super) mod convert;
mod files;
mod recurrences;
mod search;
mod service;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, watch};

pub use recurrences::Found as FoundRecurrences;
pub(super) use service::Rulings;

use super::in_step::Turns;
use crate::catalog::DepartmentCatalog;
use crate::routing::{RouteError, Router};
use crate::rulings::{EmbeddedRuling, Known, Scope, Status};
use crate::store::{Change, Changes, Embedded, Store, StoreError};

/// How soon a server hears of what another recorded.
const FOLLOW: Duration = Duration::from_millis(500);

/// Changes that are read, and rulings that are embedded, at once.
const AT_ONCE: usize = 200;

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
    /// The last grouping of disputes; held by whoever makes the next.
    recurring: Arc<Mutex<Option<recurrences::Kept>>>,
}

/// How far the router's book has come.
#[derive(Default)]
struct Applied {
    /// Number of the last change in the book.
    number: i64,
    /// Case rulings that have no embedding by this model yet: after a change of models there may be very many.
    waiting: Vec<String>,
}

impl RulingDesk {
    /// Reads every ruling that counts into the router's book. Standing rulings are embedded now if they are not yet; case rulings
    /// by [`Self::follow`], so that a new model need not wait for a hundred thousand of them.
    pub async fn open(store: Store, router: Arc<Router>) -> Result<Self, RulingError> {
        let catalog = router.catalog();
        let known = Arc::new(names(&router, catalog.as_deref()));
        let known = RwLock::new((catalog, known));
        let desk = Self { store, router, known, state: Mutex::default(), recurring: Arc::default() };
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
        self.state.lock().await.waiting.len()
    }

    /// Applies everything that changed since. When it returns, the next batch that is routed knows it. A caller who leaves does
    /// not stop it: half of it done and the turn given up, a later change could be undone by an earlier one.
    pub async fn catch_up(self: &Arc<Self>) -> Result<(), RulingError> {
        let desk = Arc::clone(self);
        tokio::spawn(async move { desk.apply_changes().await }).await.map_err(|_| RulingError::Panicked)?
    }

    async fn apply_changes(&self) -> Result<(), RulingError> {
        let mut state = self.state.lock().await;
        loop {
            let version = &self.router.info().version;
            let Changes { changes, end, full } = self.store.changes_after(state.number, AT_ONCE, version, false).await?;
            let Some(end) = end else { return Ok(()) };
            // Somebody imported a file: whoever records one ruling now must not wait for all of it.
            if full {
                self.apply_bulk(&mut state, changes).await?;
            } else {
                self.apply(changes).await?;
            }
            state.number = end;
        }
    }

    /// Keeps the book in step until the server drains.
    pub(super) async fn follow(self: Arc<Self>, draining: watch::Receiver<bool>) {
        let trouble = "the rulings cannot be brought up to date; answers go on with those known";
        let mut turns = Turns::new(FOLLOW, draining, trouble);
        while turns.next().await {
            let outcome = match self.catch_up().await {
                Ok(()) => self.embed_waiting().await,
                failed => failed,
            };
            turns.ended(outcome);
        }
    }

    /// Applies what costs nothing, and standing rulings; case rulings that are still to be embedded wait for [`Self::follow`].
    async fn apply_bulk(&self, state: &mut Applied, changes: Vec<Change>) -> Result<(), RulingError> {
        let waits = |change: &Change| {
            let ruling = &change.stored.ruling;
            change.embeddings.is_empty() && ruling.scope == Scope::Case && ruling.status == Status::InForce
        };
        let (later, now): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(waits);
        state.waiting.extend(later.into_iter().map(|change| change.stored.ruling.id));
        self.apply(now).await
    }

    /// Embeds some of the rulings that wait for it.
    async fn embed_waiting(&self) -> Result<(), RulingError> {
        let mut state = self.state.lock().await;
        let rest = state.waiting.len().saturating_sub(AT_ONCE);
        let ids: Vec<String> = state.waiting[rest..].to_vec();
        if ids.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(ids.len());
        for id in &ids {
            // As it is by now.
            changes.push(Change { number: 0, stored: self.store.get(id).await?, embeddings: Vec::new() });
        }
        self.apply(changes).await?;
        state.waiting.truncate(rest);
        tracing::info!(left = rest, "rulings embedded for this model");
        Ok(())
    }

    /// Puts rulings into the book as they now are, embedding those that are not yet.
    async fn apply(&self, changes: Vec<Change>) -> Result<(), RulingError> {
        let router = Arc::clone(&self.router);
        let work = move || {
            let (rulings, fresh) = embedded(&router, changes)?;
            if !rulings.is_empty() {
                router.set_rulings(Arc::new(router.rulings().with(&rulings)))?;
            }
            Ok::<_, RouteError>(fresh)
        };
        let fresh = tokio::task::spawn_blocking(work).await.map_err(|_| RulingError::Panicked)??;
        if fresh.is_empty() {
            return Ok(());
        }
        // They count already; kept embeddings only save time at the next start.
        if let Err(error) = self.store.keep_embeddings(&self.router.info().version, &fresh).await {
            tracing::warn!(%error, "embeddings of rulings could not be kept");
        }
        Ok(())
    }
}

/// The rulings with their embeddings, and those embeddings that had to be computed.
fn embedded(router: &Router, changes: Vec<Change>) -> Result<(Vec<EmbeddedRuling>, Vec<Embedded>), RouteError> {
    let width = router.info().embedding_size;
    let missing: Vec<usize> = (0..changes.len())
        .filter(|i| {
            let Change { stored, embeddings, .. } = &changes[*i];
            stored.ruling.status == Status::InForce && embeddings.len() != stored.ruling.texts().len() * width
        })
        .collect();
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
