//! File, environment and flags become one valid [`Config`], once.
//!
//! Later wins: built-in defaults, then the file (`--config`, `PAIDAN_CONFIG`, or `paidan.toml` in the working directory), then the
//! environment (`PAIDAN_SERVER_ADDRESS` for `server.address`, `PAIDAN_MODEL` for `model.path`), then flags (`--set KEY=VALUE` and
//! the named ones). A key that nobody knows is refused by name, wherever it came from: a limit that is misspelt and silently not
//! in force is worse than a service that does not start.

mod password;
mod raw;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::error::Kind;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use crate::model::kernels::Isa;
use crate::server::ServiceConfig;
use crate::store::Store;
use crate::text::nearest;
pub use password::without_password;
use raw::Raw;

/// The file that is read from the working directory when none is named.
pub const DEFAULT_FILE: &str = "paidan.toml";
/// What our environment variables begin with.
const PREFIX: &str = "PAIDAN_";

/// A configuration that can be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where `serve` listens.
    pub address: SocketAddr,
    /// The limits of the service.
    pub service: ServiceConfig,
    /// The model: a folder or `owner/name@revision`; `None` for the bundled one.
    pub model: Option<String>,
    /// Never ask the hub: what is not in its cache is an error.
    pub offline: bool,
    /// What the model is computed in, and by which instructions.
    pub computing: crate::model::Setting,
    /// The dispatch catalogue.
    pub catalog: CatalogChoice,
    /// Where rulings and the audit trail are.
    pub store: StoreChoice,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// Where rulings and the audit trail are kept: `store.url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// A SQLite file in the folder where the system keeps a service's state, or a user's data.
    Auto,
    /// Nowhere: neither rulings nor a trail.
    None,
    /// In this database.
    Url(String),
}

/// Which dispatch catalogue answers are given with: `catalog.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogChoice {
    /// `auto`: the bundled one for the bundled model, none for another.
    Auto,
    /// `none`: answers rest on the model alone.
    None,
    /// The catalogue in this folder.
    Folder(PathBuf),
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is written.
    pub level: tracing::Level,
    /// For a person or for a collector.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line, for a collector.
    Json,
}

/// What the command line adds: the highest layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Keys and values of `--set` and of the named flags.
    pub settings: Vec<(String, String)>,
}

/// A key with the value that is in force and where it came from, for `config show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `server.address`.
    pub key: String,
    /// As TOML.
    pub value: String,
    /// `default`, `paidan.toml`, `PAIDAN_SERVER_ADDRESS`, `flag`.
    pub origin: String,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file cannot be read.
    #[error("configuration file {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is there, but no file of settings.
    #[error("configuration file {path}: {reason}", path = path.display())]
    NoText {
        /// What was named.
        path: PathBuf,
        /// What it is, and the way out.
        reason: String,
    },
    /// A key is unknown, or its value makes no sense.
    #[error("{origin}: {key}: {reason}")]
    Bad {
        /// The key, or the place in the file where it cannot be read.
        key: String,
        /// Where it came from.
        origin: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl Config {
    /// Reads all layers and checks every value.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        Layers::read(flags)?.config()
    }
}

/// Where a value of one line came from.
const ENVIRONMENT: &str = "environment";
const FLAG: &str = "flag";

/// One key with its value as a variable or a flag gives it, without a kind.
struct Given<'a> {
    key: &'a str,
    value: &'a str,
    source: &'static str,
}

impl Provider for Given<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source)
    }

    /// 64 is a number and true a truth value, but where a text is wanted: there it is what was written, without quotes around it.
    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let Ok(value) = self.value.parse::<Value>();
        let value = match value {
            Value::String(..) | Value::Char(..) => value,
            _ if raw::TEXTS.contains(&self.key) => Value::from(self.value.trim()),
            other => other,
        };
        let dict = figment::util::nest(self.key, value).into_dict().unwrap_or_default();
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// All layers, merged but not yet checked.
pub struct Layers {
    figment: Figment,
    /// Name of the file that was read.
    file: Option<PathBuf>,
}

impl Layers {
    /// Reads file, environment and flags.
    pub fn read(flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Raw::default()));
        let file = named_file(flags);
        if let Some(path) = &file {
            let text = read(path)?;
            // Parsed here first, since this error says line and column.
            text.parse::<toml::Table>().map_err(|error| bad("TOML", &path.display().to_string(), error.to_string().trim()))?;
            figment = figment.merge(Toml::string(&text));
        }
        let environment = Env::prefixed(PREFIX).filter_map(|name| key_of_variable(name.as_str()).map(Into::into));
        for (key, value) in environment.iter() {
            figment = figment.merge(Given { key: key.as_str(), value: &value, source: ENVIRONMENT });
        }
        for (key, value) in &flags.settings {
            if key.split('.').any(str::is_empty) {
                return Err(bad(key, FLAG, "is no key; `paidan config show` lists them"));
            }
            figment = figment.merge(Given { key, value, source: FLAG });
        }
        Ok(Self { figment, file })
    }

    /// The one valid configuration, or the first key that is at fault.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let raw: Raw = self.figment.extract().map_err(|error| self.explain(error))?;
        let fault = |key: &str, reason: String| bad(key, &self.origin(key), &reason);
        let address = raw.server.address.parse().map_err(|_| {
            fault("server.address", format!("{:?} is no address; write IP:PORT, such as 127.0.0.1:50051", raw.server.address))
        })?;
        let service = raw.server.service();
        service.validate().map_err(|error| {
            let key = raw::key_of_limit(error.key);
            fault(&key, error.reason)
        })?;
        let level = choose(&raw.log.level, &LEVELS).map_err(|reason| fault("log.level", reason))?;
        let format = choose(&raw.log.format, &FORMATS).map_err(|reason| fault("log.format", reason))?;
        let model = raw.model.path.filter(|path| !path.trim().is_empty());
        let catalog = match raw.catalog.path.trim() {
            raw::AUTO | "" => CatalogChoice::Auto,
            raw::NONE => CatalogChoice::None,
            folder => CatalogChoice::Folder(PathBuf::from(folder)),
        };
        let store = match raw.store.url.trim() {
            raw::AUTO | "" => StoreChoice::Auto,
            raw::NONE => StoreChoice::None,
            url => {
                let url = password::without_ignored_password(url);
                Store::check_url(&url).map_err(|error| fault("store.url", error.to_string()))?;
                StoreChoice::Url(url)
            }
        };
        let computing = crate::model::Setting {
            precision: raw.model.precision.parse().map_err(|reason| fault("model.precision", reason))?,
            kernel: match raw.model.kernel.as_str() {
                raw::AUTO => None,
                name => Some(name.parse::<Isa>().map_err(|reason| fault("model.kernel", reason + ", auto"))?),
            },
        };
        Ok(Config {
            address,
            service,
            model,
            offline: raw.model.offline,
            computing,
            catalog,
            store,
            log: LogConfig { level, format },
        })
    }

    /// Every key with its value and origin, in the order of the sections.
    pub fn settings(&self) -> Result<Vec<Setting>, ConfigError> {
        let raw: Raw = self.figment.extract().map_err(|error| self.explain(error))?;
        let table = toml::Table::try_from(&raw).map_err(|error| bad("TOML", "configuration", &error.to_string()))?;
        let mut settings = Vec::new();
        for (section, keys) in table {
            for (name, value) in keys.as_table().into_iter().flatten() {
                let key = format!("{section}.{name}");
                // Before it is written as TOML, whose quotes are no part of it.
                let value = match value.as_str().filter(|_| key == "store.url") {
                    Some(url) => toml::Value::from(without_password(url)).to_string(),
                    None => value.to_string(),
                };
                settings.push(Setting { value, origin: self.origin(&key), key });
            }
        }
        Ok(settings)
    }

    /// Where a key's value came from.
    fn origin(&self, key: &str) -> String {
        match self.figment.find_metadata(key).map(|metadata| metadata.name.as_ref()) {
            Some(name) if name.contains("TOML") => self.file_name(),
            Some(ENVIRONMENT) => variable_of_key(key),
            Some(FLAG) => FLAG.to_owned(),
            _ => "default".to_owned(),
        }
    }

    fn file_name(&self) -> String {
        self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE)).display().to_string()
    }

    fn explain(&self, error: figment::Error) -> ConfigError {
        let path = error.path.join(".");
        match &error.kind {
            Kind::UnknownField(name, expected) => {
                // The path ends in the section or in the key itself, depending on where serde noticed.
                let key = if path.is_empty() || path == *name || path.ends_with(&format!(".{name}")) {
                    if path.is_empty() { name.clone() } else { path }
                } else {
                    format!("{path}.{name}")
                };
                let hint = match nearest(name, expected.iter().copied()) {
                    Some(meant) => format!("unknown key; did you mean {meant:?}?"),
                    None => format!("unknown key; there are {}", expected.join(", ")),
                };
                bad(&key, &self.origin(&key), &hint)
            }
            Kind::InvalidType(found, wanted) => bad(&path, &self.origin(&path), &format!("is {found}, must be {wanted}")),
            kind => bad(&path, &self.origin(&path), &kind.to_string()),
        }
    }
}

const LEVELS: [(&str, tracing::Level); 5] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

fn choose<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{value:?} is none of {}", names.join(", "))
    })
}

fn named_file(flags: &Flags) -> Option<PathBuf> {
    let named = flags.file.clone().or_else(|| std::env::var_os("PAIDAN_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from));
    named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()))
}

/// The text of a file. What is none is as wrong as a key that nobody knows.
fn read(path: &Path) -> Result<String, ConfigError> {
    let no_text = |reason: String| ConfigError::NoText { path: path.to_owned(), reason };
    if path.is_dir() {
        return Err(no_text(format!("is a folder; name a file, such as {}", path.join(DEFAULT_FILE).display())));
    }
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to() + 1;
        no_text(format!("not UTF-8 at byte {place}; save it as UTF-8 (from GBK: iconv -f GB18030 -t UTF-8)"))
    })
}

/// `SERVER_MAX_BATCH_TOKENS` (the prefix is gone) is `server.max_batch_tokens`; `None` for what is no setting.
fn key_of_variable(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "config" => None,
        "model" => Some("model.path".to_owned()),
        _ => Some(name.replacen('_', ".", 1)),
    }
}

fn variable_of_key(key: &str) -> String {
    let name = key.replacen('.', "_", 1).to_ascii_uppercase();
    // Whoever wrote the short name looks for the short name.
    if key == "model.path" && std::env::var_os("PAIDAN_MODEL").is_some() {
        return "PAIDAN_MODEL".to_owned();
    }
    format!("{PREFIX}{name}")
}

fn bad(key: &str, origin: &str, reason: &str) -> ConfigError {
    ConfigError::Bad { key: key.to_owned(), origin: origin.to_owned(), reason: reason.to_owned() }
}

/// Milliseconds as the keys ending in `_ms` give them.
fn milliseconds(value: u64) -> Duration {
    Duration::from_millis(value)
}
