//! `paidan serve`: the service in the foreground, until somebody asks it to stop.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use paidan::config::{Config, LogFormat, without_password};
use paidan::server::Server;
use paidan::server::catalog::CatalogDesk;
use paidan::server::rulings::RulingDesk;
use paidan::store::Store;
use tokio::net::TcpListener;

use super::setup::{Setup, catalog_folder, model_folder, open_router_with_catalog, store_url};
use super::signals::{ReloadSignals, StopSignals};
use super::{Failure, code};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan serve --address 0.0.0.0:50051
  grpcurl -plaintext -d '{\"appeal\": {\"text\": \"小区门口的路灯坏了很久没人修\"}}' \\
    127.0.0.1:50051 paidan.v1.RoutingService/RouteAppeal

When it is ready it prints one line to standard output; logs go to standard error. SIGHUP makes it read the catalogue's folder again.")]
pub struct Args {
    /// Where to listen, IP:PORT; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "IP:PORT")]
    address: Option<String>,
    /// Least important messages to log: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text for people, json for a collector [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Serves.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let named = [("server.address", &args.address), ("log.level", &args.log_level), ("log.format", &args.log_format)];
    let flags: Vec<(&str, String)> = named.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    let config = setup.configuration(&flags)?;
    log(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    // The address first: a port that is taken should not cost the time to load a model.
    let listener = TcpListener::bind(config.address).await.map_err(|error| {
        let words = format!("{}: {error}; stop what listens there, or take another address with --address", config.address);
        Failure::said(code::UNAVAILABLE, words)
    })?;
    let began = Instant::now();
    // Before it says that it is ready: until somebody listens a SIGHUP ends the process.
    let mut reload = ReloadSignals::listen()?;
    let folder = model_folder(&config)?;
    let router = Arc::new(open_router_with_catalog(&folder, &config)?);
    let rulings = match store_url(&config)? {
        Some(url) => {
            tracing::info!(store = without_password(&url), "rulings and the audit trail are kept here");
            Some(RulingDesk::open(Store::open(&url).await?, Arc::clone(&router)).await?)
        }
        None => None,
    };
    let info = router.info();
    let mut signals = StopSignals::listen()?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "paidan is ready on {}: model {} {}, {} departments, {}, {}, {}, loaded in {:.2} s",
        listener.local_addr()?,
        info.name,
        info.version,
        info.departments.len(),
        router.catalog().map_or("no catalogue".to_owned(), |c| format!("catalogue of {} {}", c.city, c.version)),
        rulings.as_ref().map_or("no rulings".to_owned(), |_| format!("{} texts of rulings", router.rulings().texts())),
        router.computes_in(),
        began.elapsed().as_secs_f32()
    )?;
    out.flush()?;
    let stop = async move {
        signals.asked().await;
        // Draining has its time limit; who asks twice does not want to wait for it.
        tokio::spawn(async move {
            signals.asked().await;
            std::process::exit(i32::from(code::INTERRUPTED));
        });
    };
    let catalog = Arc::new(CatalogDesk::new(Arc::clone(&router), catalog_folder(&config)));
    let mut server = Server::new(router, config.service)?.with_catalog(Arc::clone(&catalog));
    tokio::spawn(async move {
        loop {
            reload.asked().await;
            // It is in the log, good or bad.
            let _ = catalog.reload("SIGHUP").await;
        }
    });
    if let Some(rulings) = rulings {
        server = server.with_rulings(rulings);
    }
    Ok(server.run(listener, stop).await?)
}

fn log(config: &Config) {
    let builder = tracing_subscriber::fmt().with_max_level(config.log.level).with_writer(std::io::stderr);
    // A subscriber that is set already can only be a test's.
    let _ = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
