//! Models from a hub, against a small hub of our own on this machine: what is fetched, what is believed, what is said when it
//! fails. No test needs a network.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use paidan::hub::{FetchError, Hub, ModelPlace};
use paidan::model::{file, sha256_hex};
use paidan::routing::Router;

use crate::support;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub treats a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// As a hub should.
    Honest,
    /// Every answer is this status.
    Status(u16),
    /// The body breaks off half-way, though its length was promised.
    BreaksOff,
    /// The body is short and nobody says so: no length, the connection just ends.
    EndsEarly,
    /// The body has the right length and the wrong bytes.
    Lies,
    /// It takes the question and never answers.
    Silent,
    /// It knows nothing of ranges and always sends the whole file.
    IgnoresRanges,
}

/// What the hub has and how it behaves; shared with its thread.
#[derive(Default)]
struct State {
    files: HashMap<String, Vec<u8>>,
    moods: HashMap<String, Mood>,
    requests: Vec<String>,
    authorization: Vec<String>,
}

pub struct TestHub {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl TestHub {
    /// A hub with a tiny model, as one comes from elsewhere: without a manifest.
    fn start() -> Self {
        Self::of(support::tiny_model().path())
    }

    /// A hub with the files of a folder.
    pub fn of(folder: &Path) -> Self {
        let mut state = State::default();
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            state.files.insert(name, std::fs::read(entry.path()).expect("a file of the model"));
        }
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Self { endpoint, state }
    }

    fn mood(&self, name: &str, mood: Mood) {
        self.state.lock().expect("the lock").moods.insert(name.to_owned(), mood);
    }

    pub fn remove(&self, name: &str) {
        self.state.lock().expect("the lock").files.remove(name);
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.state.lock().expect("the lock").files.insert(name.to_owned(), bytes.to_vec());
    }

    pub fn requests(&self) -> usize {
        self.state.lock().expect("the lock").requests.len()
    }

    pub fn bytes_of(&self, name: &str) -> Vec<u8> {
        self.state.lock().expect("the lock").files[name].clone()
    }

    pub fn client(&self, cache: &Path) -> Hub {
        Hub {
            cache: cache.to_owned(),
            endpoint: self.endpoint.clone(),
            token: None,
            offline: false,
            patience: Duration::from_secs(20),
        }
    }
}

/// One request a connection.
fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let header = |name: &str| lines.iter().find_map(|line| line.to_lowercase().strip_prefix(name).map(|v| v.trim().to_owned()));
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let (bytes, mood) = {
        let mut state = state.lock().expect("the lock");
        state.requests.push(path.to_owned());
        state.authorization.extend(header("authorization:"));
        (state.files.get(&name).cloned(), state.moods.get(&name).copied().unwrap_or(Mood::Honest))
    };
    let range = header("range:").and_then(|v| {
        let (from, to) = v.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()))
    });
    let status = match (&bytes, mood) {
        (_, Mood::Status(status)) => Some(status),
        (None, _) => Some(404),
        _ => None,
    };
    if let Some(status) = status {
        let _ = write!(stream, "HTTP/1.1 {status} Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return;
    }
    let bytes = bytes.expect("checked above");
    if mood == Mood::Silent {
        std::thread::sleep(Duration::from_secs(30));
        return;
    }
    let etag = sha256_hex(&bytes);
    let (from, to) = match range {
        Some((from, to)) => (from, to.map_or(bytes.len(), |to| (to + 1).min(bytes.len()))),
        None => (0, bytes.len()),
    };
    let probing = range == Some((0, Some(0)));
    let mut body = bytes[from.min(to)..to].to_vec();
    if !probing {
        match mood {
            Mood::Lies => body.iter_mut().for_each(|byte| *byte ^= 1),
            Mood::IgnoresRanges => body = bytes.clone(),
            _ => {}
        }
    }
    let promised = body.len();
    let mut head = format!(
        "HTTP/1.1 206 Partial Content\r\nx-repo-commit: {COMMIT}\r\netag: \"{etag}\"\r\ncontent-range: bytes {from}-{}/{}\r\nconnection: close\r\n",
        to.saturating_sub(1),
        bytes.len()
    );
    if !probing && matches!(mood, Mood::BreaksOff | Mood::EndsEarly) {
        body.truncate(promised / 2);
    }
    if probing || mood != Mood::EndsEarly {
        head.push_str(&format!("content-length: {promised}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&body));
}

fn place(name: &str) -> ModelPlace {
    ModelPlace::parse(name).expect("a name on the hub")
}

pub fn fetch(hub: &Hub, name: &str) -> Result<PathBuf, FetchError> {
    hub.folder(&place(name), &mut |_| {})
}

pub fn cache() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place for the cache")
}

/// No file of the model is believed: a later offline start does not find it.
fn nothing_is_believed(hub: &Hub, name: &str) {
    let offline = Hub { offline: true, ..hub.clone() };
    assert!(matches!(fetch(&offline, name), Err(FetchError::NotCached { .. })));
}

#[test]
fn a_model_is_fetched_with_all_its_files_and_opens() {
    let (hub, cache) = (TestHub::start(), cache());
    let mut heard = Vec::new();
    let folder = hub.client(cache.path()).folder(&place("city/router@v1"), &mut |news| heard.push(news.file.to_owned()));
    let folder = folder.expect("fetched");
    assert!(folder.ends_with(format!("models--city--router/snapshots/{COMMIT}")), "{}", folder.display());
    assert!(folder.join(file::DEPARTMENTS).is_file() && folder.join(file::CALIBRATION).is_file());
    assert!(!folder.join(file::MANIFEST).exists());
    assert!(heard.iter().any(|file| file == file::WEIGHTS));
    assert_eq!(Router::open(&folder).expect("it opens").info().departments.len(), support::DEPARTMENTS.len());
}

#[test]
fn the_second_start_needs_no_network() {
    let (hub, cache) = (TestHub::start(), cache());
    let client = hub.client(cache.path());
    let first = fetch(&client, "city/router@v1").expect("fetched");
    let asked = hub.requests();
    let gone = Hub { endpoint: "http://127.0.0.1:9".to_owned(), ..client };
    assert_eq!(fetch(&gone, "city/router@v1").expect("cached"), first);
    assert_eq!(fetch(&Hub { offline: true, ..gone }, "city/router@v1").expect("cached"), first);
    assert_eq!(hub.requests(), asked);
}

#[test]
fn offline_without_a_cache_says_how_to_get_one() {
    let (hub, cache) = (TestHub::start(), cache());
    let error = fetch(&Hub { offline: true, ..hub.client(cache.path()) }, "city/router@v1").expect_err("nothing cached");
    assert!(error.to_string().contains("start once without HF_HUB_OFFLINE"), "{error}");
    assert_eq!(hub.requests(), 0);
}

#[test]
fn a_repository_that_is_not_there_is_named() {
    let (hub, cache) = (TestHub::start(), cache());
    hub.mood(file::CONFIG, Mood::Status(404));
    let error = fetch(&hub.client(cache.path()), "city/nothing@v1").expect_err("404");
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("city/nothing@v1") && error.to_string().contains("HF_TOKEN"), "{error}");
}

#[test]
fn a_required_file_that_is_missing_is_named_and_the_snapshot_is_not_believed() {
    let (hub, cache) = (TestHub::start(), cache());
    hub.remove(file::WEIGHTS);
    let client = hub.client(cache.path());
    let error = fetch(&client, "city/router@v1").expect_err("no weights");
    assert!(matches!(&error, FetchError::NotFound { file, .. } if file == file::WEIGHTS), "{error:?}");
    nothing_is_believed(&client, "city/router@v1");
}

#[test]
fn a_hub_in_trouble_is_told_apart_from_a_missing_file() {
    let (hub, cache) = (TestHub::start(), cache());
    hub.mood(file::CALIBRATION, Mood::Status(500));
    let client = hub.client(cache.path());
    // An optional file that the hub fails to give is not the same as one that it does not have.
    let error = fetch(&client, "city/router@v1").expect_err("500");
    assert!(matches!(&error, FetchError::Unavailable { file, .. } if file == file::CALIBRATION), "{error:?}");
    hub.mood(file::CALIBRATION, Mood::Honest);
    let folder = fetch(&client, "city/router@v1").expect("the hub is well again");
    assert!(folder.join(file::CALIBRATION).is_file());
}

#[test]
fn a_hub_that_is_not_there_is_unavailable() {
    let cache = cache();
    let hub = Hub { endpoint: "http://127.0.0.1:9".to_owned(), ..TestHub::start().client(cache.path()) };
    let error = fetch(&hub, "city/router@v1").expect_err("nobody listens there");
    assert!(matches!(error, FetchError::Unavailable { .. }) && error.to_string().contains("HF_ENDPOINT"), "{error}");
}

#[test]
fn a_silent_hub_is_given_up() {
    let (hub, cache) = (TestHub::start(), cache());
    hub.mood(file::CONFIG, Mood::Silent);
    let client = Hub { patience: Duration::from_millis(300), ..hub.client(cache.path()) };
    let error = fetch(&client, "city/router@v1").expect_err("no answer");
    assert!(error.to_string().contains("nothing came for 0.3 s"), "{error}");
}

#[test]
fn a_body_that_breaks_off_is_never_believed_and_the_next_start_goes_on() {
    for mood in [Mood::BreaksOff, Mood::EndsEarly] {
        let (hub, cache) = (TestHub::start(), cache());
        hub.mood(file::WEIGHTS, mood);
        let client = hub.client(cache.path());
        fetch(&client, "city/router@v1").expect_err("cut off");
        nothing_is_believed(&client, "city/router@v1");
        hub.mood(file::WEIGHTS, Mood::Honest);
        let folder = fetch(&client, "city/router@v1").expect("the second attempt");
        Router::open(&folder).expect("whole");
    }
}

#[test]
fn a_remainder_that_a_hub_without_ranges_spoils_is_thrown_away() {
    let (hub, cache) = (TestHub::start(), cache());
    hub.mood(file::WEIGHTS, Mood::BreaksOff);
    let client = hub.client(cache.path());
    fetch(&client, "city/router@v1").expect_err("cut off");
    hub.mood(file::WEIGHTS, Mood::IgnoresRanges);
    let error = fetch(&client, "city/router@v1").expect_err("half a file and a whole one behind it");
    assert!(matches!(error, FetchError::Damaged { .. }), "{error:?}");
    nothing_is_believed(&client, "city/router@v1");
    Router::open(&fetch(&client, "city/router@v1").expect("from the start this time")).expect("whole");
}

#[test]
fn wrong_bytes_of_the_right_length_are_found_out() {
    let (hub, cache) = (TestHub::start(), cache());
    hub.mood(file::WEIGHTS, Mood::Lies);
    let client = hub.client(cache.path());
    let error = fetch(&client, "city/router@v1").expect_err("wrong bytes");
    assert!(matches!(&error, FetchError::Damaged { reason, .. } if reason.contains("sha-256")), "{error:?}");
    nothing_is_believed(&client, "city/router@v1");
}

#[test]
fn a_cached_file_that_was_cut_is_fetched_again() {
    let (hub, cache) = (TestHub::start(), cache());
    let client = hub.client(cache.path());
    let folder = fetch(&client, "city/router@v1").expect("fetched");
    // As another program may leave it: no mark of ours, and a file that is too short.
    std::fs::remove_file(folder.join(".paidan-complete")).expect("the mark");
    let blob = folder.join(file::TOKENIZER).canonicalize().expect("the file");
    let bytes = std::fs::read(&blob).expect("the file");
    std::fs::write(&blob, &bytes[..bytes.len() / 2]).expect("cut");
    let again = fetch(&client, "city/router@v1").expect("fetched again");
    assert_eq!(std::fs::read(again.join(file::TOKENIZER)).expect("the file"), bytes);
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let (hub, cache) = (TestHub::start(), cache());
    let client = Hub { token: Some("hf_private".to_owned()), ..hub.client(cache.path()) };
    fetch(&client, "city/router@v1").expect("fetched");
    let state = hub.state.lock().expect("the lock");
    assert!(!state.authorization.is_empty() && state.authorization.iter().all(|value| value == "bearer hf_private"));
    assert!(!format!("{client:?}").contains("hf_private"));
}

#[test]
fn all_files_are_of_one_commit() {
    let (hub, cache) = (TestHub::start(), cache());
    fetch(&hub.client(cache.path()), "city/router@main").expect("fetched");
    let state = hub.state.lock().expect("the lock");
    let (branch, commit): (Vec<&String>, Vec<&String>) =
        state.requests.iter().partition(|path| path.contains("/resolve/main/"));
    assert!(branch.iter().all(|path| path.ends_with(file::CONFIG)), "{branch:?}");
    assert!(commit.iter().all(|path| path.contains(COMMIT)), "{commit:?}");
}
