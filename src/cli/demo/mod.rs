//! `paidan demo`: one dispute from the call to the ruling that ends it, played on a real server of its own, in Chinese, so that a
//! hotline sees in a minute what paidan does. On an invented appeal, or on past orders of the city's own.
//!
//! `cast` finds the orders that the story is played with, `stage` plays it and says what happens.

mod cast;
mod stage;

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paidan::server::rulings::RulingDesk;
use paidan::server::{Server, ServiceConfig};
use paidan::store::Store;
use tokio::net::TcpListener;

use super::setup::{Setup, model_folder, open_router_with_catalog};
use super::{Failure, code};
use stage::Stage;

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan demo
  paidan demo --orders orders.jsonl --page case.html")]
pub struct Args {
    /// Past orders (jsonl as for training): the story is played on a re-dispatched one and another like it
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Write the case file's page here [default: in a temporary folder]
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Plays it.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let config = setup.configuration(&[])?;
    if let Some(page) = &args.page {
        must_take(page)?;
    }
    let router = Arc::new(open_router_with_catalog(&model_folder(&config)?, &config)?);
    let cast = match &args.orders {
        Some(file) => cast::of_orders(file, &router)?,
        None => cast::invented(),
    };
    // The story is not the city's: it is played in a database of its own, whatever the configuration says.
    let folder = std::env::temp_dir().join(format!("paidan-demo-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, error))?;
    let page = args.page.clone().unwrap_or_else(|| folder.join("case.html"));
    let database = folder.join("demo.db");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let played = runtime.block_on(async {
        let store = Store::open(&format!("sqlite:{}", database.display())).await?;
        let desk = RulingDesk::open(store.clone(), Arc::clone(&router)).await.map_err(|e| Failure::new(code::SOFTWARE, e))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = Server::new(router, ServiceConfig::default())?.with_rulings(desk);
        let serving = tokio::spawn(server.run(listener, async move { drop(stopped.await) }));
        let played = Stage::enter(address, store).await?.play(&cast, &page).await;
        // Whoever listened for it may be gone.
        let _ = stop.send(());
        let _ = serving.await;
        played
    });
    // Only the page is worth keeping.
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(folder.join(format!("demo.db{end}")));
    }
    if args.page.is_some() {
        let _ = fs::remove_dir(&folder);
    }
    played
}

/// A page that cannot be written is told before the story begins. What is there stays as it is until then.
fn must_take(page: &Path) -> Result<(), Failure> {
    let is_new = match fs::metadata(page) {
        Ok(there) if there.is_dir() => {
            let file = page.join("case.html");
            let words = format!("--page: {} is a folder; name a file, such as {}", page.display(), file.display());
            return Err(Failure::said(code::USAGE, words));
        }
        // A pipe or a device: to open it twice would be to end it.
        Ok(there) if !there.is_file() => return Ok(()),
        there => there.is_err(),
    };
    OpenOptions::new().append(true).create(true).open(page).map_err(|error| Failure::file(page, error))?;
    if is_new {
        // Left there it would be an empty page, which is overwritten all the same.
        let _ = fs::remove_file(page);
    }
    Ok(())
}
