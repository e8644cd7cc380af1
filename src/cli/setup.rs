//! What every command takes: the configuration, and the model it names.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use paidan::catalog::{Day, DepartmentCatalog};
use paidan::config::{CatalogChoice, Config, Flags, Layers, StoreChoice};
use paidan::hub::{Hub, ModelPlace, Progress, bundled_catalog, bundled_model};
use paidan::routing::{Router, day_in_the_city};

use super::{Failure, code};

/// Flags that every command knows.
#[derive(Debug, Clone, clap::Args)]
pub struct Setup {
    /// Model folder, or owner/name@revision on a Hugging Face hub [default: the bundled model]
    #[arg(long, global = true, value_name = "MODEL")]
    pub model: Option<String>,
    /// Never ask the hub: use its cache only (as HF_HUB_OFFLINE=1)
    #[arg(long, global = true)]
    pub offline: bool,
    /// Configuration file [default: paidan.toml here, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key, such as --set server.max_batch_tokens=8192; wins over file and environment
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

fn key_and_value(given: &str) -> Result<(String, String), String> {
    match given.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write SECTION.KEY=VALUE, such as log.level=debug; `paidan config show` lists the keys".to_owned()),
    }
}

impl Setup {
    /// File, environment and flags, merged.
    pub fn layers(&self, more: &[(&str, String)]) -> Result<Layers, Failure> {
        let mut settings = self.set.clone();
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        settings.extend(self.model.iter().map(|model| ("model.path".to_owned(), model.clone())));
        if self.offline {
            settings.push(("model.offline".to_owned(), "true".to_owned()));
        }
        Ok(Layers::read(&Flags { file: self.config.clone(), settings })?)
    }

    /// The valid configuration.
    pub fn configuration(&self, more: &[(&str, String)]) -> Result<Config, Failure> {
        Ok(self.layers(more)?.config()?)
    }
}

/// Opens the model in the precision, and with the instructions, that the configuration asks for.
pub fn open_router(folder: &Path, config: &Config) -> Result<Router, Failure> {
    Ok(Router::open_with(folder, config.computing)?)
}

/// The same, answering with the catalogue that the configuration asks for.
pub fn open_router_with_catalog(folder: &Path, config: &Config) -> Result<Router, Failure> {
    let router = open_router(folder, config)?;
    match catalog_folder(config) {
        Some(folder) => Ok(router.with_catalog(Arc::new(DepartmentCatalog::open(&folder)?))?),
        None => Ok(router),
    }
}

/// The folder of the catalogue that the configuration asks for, if it asks for one: the bundled one speaks of the bundled model's
/// city only.
pub fn catalog_folder(config: &Config) -> Option<PathBuf> {
    match &config.catalog {
        CatalogChoice::Folder(folder) => Some(folder.clone()),
        CatalogChoice::Auto if is_bundled(config.model.as_deref()) => bundled_catalog(),
        CatalogChoice::Auto | CatalogChoice::None => None,
    }
}

/// True for the bundled model, whether it was named or not.
fn is_bundled(model: Option<&str>) -> bool {
    let Some(given) = model else { return true };
    let Ok(ModelPlace::Folder(bundled)) = bundled_model() else { return false };
    matches!((Path::new(given).canonicalize(), bundled.canonicalize()), (Ok(given), Ok(bundled)) if given == bundled)
}

/// The database of rulings and audit trail that the configuration asks for, if it asks for one; its folder is there.
pub fn store_url(config: &Config) -> Result<Option<String>, Failure> {
    match &config.store {
        StoreChoice::None => Ok(None),
        StoreChoice::Url(url) => Ok(Some(url.clone())),
        StoreChoice::Auto => {
            let folder = state_folder().ok_or_else(|| {
                let words = "there is no folder to keep rulings in; name a database with PAIDAN_STORE_URL, or none";
                Failure::said(code::NO_INPUT, words)
            })?;
            std::fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, error))?;
            Ok(Some(format!("sqlite:{}", folder.join("paidan.db").display())))
        }
    }
}

/// What systemd gives a service, or where a user's programs keep their data.
fn state_folder() -> Option<PathBuf> {
    let folder = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("STATE_DIRECTORY")
        .or_else(|| folder("XDG_DATA_HOME").map(|data| data.join("paidan")))
        .or_else(|| folder("HOME").map(|home| home.join(".local/share/paidan")))
}

/// The day that it is in the city.
pub fn today() -> Result<Day, Failure> {
    day_in_the_city(chrono::Utc::now()).ok_or_else(|| Failure::said(code::SOFTWARE, "the clock shows no day of the calendar"))
}

/// The folder of the model that the configuration names, fetched if need be.
pub fn model_folder(config: &Config) -> Result<PathBuf, Failure> {
    let place = match &config.model {
        Some(given) => ModelPlace::parse(given)?,
        None => bundled_model()?,
    };
    let mut hub = Hub::from_env();
    hub.offline |= config.offline;
    let bar = ProgressBar::hidden();
    if matches!(place, ModelPlace::Hub { .. }) && std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    }
    let folder = hub.folder(&place, &mut |news: Progress<'_>| {
        bar.set_message(news.file.to_owned());
        bar.set_length(news.total);
        bar.set_position(news.done);
    });
    bar.finish_and_clear();
    Ok(folder?)
}
