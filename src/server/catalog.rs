//! The catalogue is read again while the service runs: what `proto/paidan/v1/catalog.proto` promises, and SIGHUP too. The new one is
//! taken whole or not at all; a fault in it changes nothing, and is told with its file and line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Datelike;
use tokio::sync::{Mutex, SetOnce};
use tonic::{Request, Response, Status};

use super::audit::{AuditTrail, LooseTrail};
use super::proto;
use super::rulings::convert::actor;
use super::status::ServiceError;
use crate::catalog::{CatalogError, DepartmentCatalog};
use crate::routing::{Router, day_in_the_city};
use crate::store::{Action, NewEntry};

/// Why the catalogue that is in use stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// There is none to read.
    #[error("this server has no catalogue; set catalog.path and start it again")]
    None,
    /// It cannot be read, or something is wrong in it.
    #[error(transparent)]
    Faulty(#[from] CatalogError),
    /// It says something else under the same version.
    #[error("catalogue {city} {version}: is in use already and says something else; give the changed one a version of its own")]
    SameVersion {
        /// Whose.
        city: String,
        /// The version that both have.
        version: String,
    },
    /// Our own fault.
    #[error("reading the catalogue panicked")]
    Panicked,
}

/// What became of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// Version that was in use.
    pub former: String,
    /// Version that is in use from now on.
    pub version: String,
    /// False if it says what the former said.
    pub changed: bool,
}

/// The catalogue of one server.
pub struct CatalogDesk {
    router: Arc<Router>,
    folder: Option<PathBuf>,
    /// Where exchanges are noted, from when its server runs.
    trail: SetOnce<LooseTrail>,
    /// Held by whoever reads it: two readings cannot overtake each other.
    turn: Mutex<()>,
}

impl CatalogDesk {
    /// Of the folder that the router's catalogue was read from, if it has one.
    pub fn new(router: Arc<Router>, folder: Option<PathBuf>) -> Self {
        Self { router, folder, trail: SetOnce::new(), turn: Mutex::default() }
    }

    /// From now on exchanges are noted there. For the server that it belongs to.
    pub(super) fn note_in(&self, trail: &AuditTrail) {
        // An error means that it belongs to a server already.
        let _ = self.trail.set(trail.loosely());
        self.tell_unknown_years();
    }

    /// Warns if the catalogue says nothing of the holidays of this year or, near its end, of the next: deadlines that run into such
    /// a year know weekends only.
    fn tell_unknown_years(&self) {
        let Some(catalog) = self.router.catalog() else { return };
        let Some(today) = day_in_the_city(chrono::Utc::now()) else { return };
        let soon = today.checked_add_days(chrono::Days::new(14)).unwrap_or(today);
        let years = BTreeMap::from([today, soon].map(|day| (day.year(), day)));
        for (year, _) in years.into_iter().filter(|(_, day)| !catalog.holidays.knows_year(*day)) {
            tracing::warn!(year, "holidays.toml says nothing of this year: deadlines of returns count its weekends only");
        }
    }

    /// Reads the folder again and uses what is there from the next appeal on. Appeals that are under way keep the former. Logged
    /// here, good or bad: whoever sent a signal hears of it nowhere else. Waits for the server to run: the trail is its.
    /// A caller who leaves does not stop it: an exchange is always noted.
    pub async fn reload(self: &Arc<Self>, actor: &str) -> Result<Reloaded, ReloadError> {
        let (desk, actor) = (Arc::clone(self), actor.to_owned());
        tokio::spawn(async move { desk.exchange(&actor).await }).await.map_err(|_| ReloadError::Panicked)?
    }

    async fn exchange(&self, actor: &str) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().await;
        let trail = self.trail.wait().await;
        let outcome = self.read().await;
        match &outcome {
            Ok(Reloaded { former, version, changed: true }) => {
                tracing::info!(former, version, "the catalogue was exchanged");
                self.tell_unknown_years();
                let versions = serde_json::json!({ "catalog": version }).to_string();
                let detail = serde_json::json!({ "former": former }).to_string();
                trail.note(NewEntry { versions, detail, ..NewEntry::now(Action::CatalogExchanged, actor) });
            }
            Ok(Reloaded { version, .. }) => tracing::info!(version, "the catalogue was read again and says the same"),
            Err(error) => tracing::error!(%error, "the catalogue was not exchanged; the former stays in use"),
        }
        outcome
    }

    async fn read(&self) -> Result<Reloaded, ReloadError> {
        let folder = self.folder.clone().ok_or(ReloadError::None)?;
        let router = Arc::clone(&self.router);
        // Reading takes milliseconds, embedding its duties some more.
        let work = move || {
            let catalog = DepartmentCatalog::open(&folder)?;
            let version = catalog.version.clone();
            let former = router.catalog();
            if let Some(former) = former.as_deref().filter(|former| former.version == version) {
                // Answers and the trail name a version: it must always mean the same.
                if *former != catalog {
                    return Err(ReloadError::SameVersion { city: catalog.city, version });
                }
                return Ok(Reloaded { former: version.clone(), version, changed: false });
            }
            router.set_catalog(Arc::new(catalog))?;
            let former = former.map(|former| former.version.clone()).unwrap_or_default();
            Ok(Reloaded { former, version, changed: true })
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ReloadError::Panicked)?
    }
}

/// The service.
pub(super) struct Catalogs(pub(super) Arc<CatalogDesk>);

#[tonic::async_trait]
impl proto::catalog_service_server::CatalogService for Catalogs {
    async fn reload_catalog(
        &self,
        request: Request<proto::ReloadCatalogRequest>,
    ) -> Result<Response<proto::ReloadCatalogResponse>, Status> {
        let actor = actor(&request.into_inner().actor)?;
        let Reloaded { former, version, changed } = self.0.reload(&actor).await.map_err(ServiceError::from)?;
        Ok(Response::new(proto::ReloadCatalogResponse {
            catalog_version: version,
            former_catalog_version: former,
            exchanged: changed,
        }))
    }
}

impl From<ReloadError> for ServiceError {
    fn from(error: ReloadError) -> Self {
        let said = error.to_string();
        let faults = match error {
            ReloadError::Panicked => return Self::ModelFailed,
            ReloadError::Faulty(CatalogError::Faulty { faults, .. }) => {
                faults.iter().map(|fault| (format!("{}:{}", fault.file, fault.line), fault.reason.clone())).collect()
            }
            ReloadError::Faulty(_) | ReloadError::SameVersion { .. } => vec![("catalog".to_owned(), said)],
            ReloadError::None => return Self::NoCatalog,
        };
        Self::CatalogFaulty { faults }
    }
}
