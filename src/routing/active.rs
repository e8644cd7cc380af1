//! The catalogue that answers are given with. It may be exchanged while appeals are under way: whoever was prepared with one is
//! answered with that one, to the last unit and duty, so that no answer is half of one and half of another.

use std::fmt;
use std::sync::{Arc, PoisonError};

use super::Router;
use super::newcomers::Newcomers;
use crate::catalog::{CatalogError, DepartmentCatalog};

/// A catalogue with everything that was made of it for this model.
pub(super) struct ActiveCatalog {
    pub catalog: Arc<DepartmentCatalog>,
    /// Finds departments that the model has never seen; `None` if there are none, or if nobody measured how.
    pub newcomers: Option<Newcomers>,
}

impl fmt::Debug for ActiveCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By its version alone: all of it would be thousands of lines.
        write!(f, "ActiveCatalog({:?})", self.catalog.version)
    }
}

impl Router {
    /// The same router, answering with a catalogue.
    pub fn with_catalog(self, catalog: Arc<DepartmentCatalog>) -> Result<Self, CatalogError> {
        self.set_catalog(catalog)?;
        Ok(self)
    }

    /// Exchanges the catalogue: appeals that are prepared from now on are answered with this one. Each department of the model must be
    /// in it; if one is not, nothing changes. If it holds departments that the model has never seen, all duties are embedded here,
    /// once: about 2 ms each.
    pub fn set_catalog(&self, catalog: Arc<DepartmentCatalog>) -> Result<(), CatalogError> {
        catalog.must_have(self.info.departments.iter().map(|department| department.id.as_str()))?;
        // Made before the lock is taken: appeals do not wait for it.
        let newcomers = self.newcomers_of(&catalog)?;
        let active = Arc::new(ActiveCatalog { catalog, newcomers });
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = Some(active);
        Ok(())
    }

    /// The catalogue that the next appeal will be answered with.
    pub fn catalog(&self) -> Option<Arc<DepartmentCatalog>> {
        self.active().map(|active| Arc::clone(&active.catalog))
    }

    pub(super) fn active(&self) -> Option<Arc<ActiveCatalog>> {
        // Whoever panicked while it held the lock had exchanged the whole catalogue, or nothing.
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
