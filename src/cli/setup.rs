//! What every command takes: the configuration, and the model it names.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use paidan::config::{Config, Flags, Layers};
use paidan::hub::{Hub, ModelPlace, Progress, bundled_model};
use paidan::routing::Router;

use super::Failure;

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
