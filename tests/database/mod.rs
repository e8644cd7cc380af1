//! Databases for tests: SQLite in a folder of its own, and a real PostgreSQL, started for this test program and gone with it.
//! Where no PostgreSQL is installed, its half is left out, loudly.

#![allow(dead_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use paidan::store::Store;

/// A database of its own for one test.
pub struct Database {
    pub name: &'static str,
    pub url: String,
    pub store: Store,
    _folder: tempfile::TempDir,
}

/// SQLite, and PostgreSQL if it is there.
pub async fn databases() -> Vec<Database> {
    let mut all = vec![sqlite().await];
    all.extend(postgres().await);
    all
}

pub async fn sqlite() -> Database {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("paidan.db").display());
    let store = Store::open(&url).await.expect("a database");
    Database { name: "sqlite", url, store, _folder: folder }
}

pub async fn postgres() -> Option<Database> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = Postgres::shared()?;
    let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server.create(&name);
    let url = server.url(&name);
    let store = Store::open(&url).await.expect("a database");
    Some(Database { name: "postgres", url, store, _folder: tempfile::tempdir().expect("a folder") })
}

/// A PostgreSQL server on a socket in its own folder.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<u32>,
    child: Option<Child>,
}

impl Postgres {
    /// One for the whole test program.
    fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        SERVER.get_or_init(Self::start).as_ref()
    }

    /// A new one; `None`, loudly, if it is not installed.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("PAIDAN_TEST_POSTGRES").is_none(), "PostgreSQL is asked for and not installed");
            let _ = writeln!(std::io::stderr(), "SKIPPED: no PostgreSQL is installed, so nothing is tested on it");
            return None;
        };
        // Kept until the program ends: the guard below removes it.
        let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("a folder").keep();
        // It refuses to run as root.
        let user = (number("id", &["-u"]) == Some(0)).then(|| number("id", &["-u", "postgres"]).expect("the user postgres"));
        if let Some(user) = user {
            std::os::unix::fs::chown(&folder, Some(user), None).expect("its own folder");
        }
        let mut server = Self { programs, folder, user, child: None };
        let data = server.folder.join("data");
        let done = server
            .command("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "paidan", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(done.expect("initdb").success());
        server.launch();
        Some(server)
    }

    /// Starts the server program; returns when it answers.
    pub fn launch(&mut self) {
        // The shell ends the server when this process ends, however it ends: then its input is closed.
        let watch = "\"$0\" -D \"$1/data\" -k \"$1\" -c listen_addresses= -c fsync=off -c max_connections=200 >\"$1/log\" 2>&1 & \
                     server=$!; read -r _; kill -INT $server; wait $server; [ \"$REPLY\" = keep ] || rm -rf \"$1/data\"";
        let mut command = Command::new("sh");
        command.args(["-c", watch]).arg(self.programs.join("postgres")).arg(&self.folder).stdin(Stdio::piped());
        self.child = Some(self.as_user(command).spawn().expect("sh"));
        let ready = |_: &u32| {
            let mut ask = self.command("pg_isready");
            let ready = ask.arg("-h").arg(&self.folder).arg("-q").status().expect("pg_isready").success();
            if !ready {
                std::thread::park_timeout(std::time::Duration::from_millis(50));
            }
            ready
        };
        assert!((0..400).any(|i| ready(&i)), "PostgreSQL does not start: see {}", self.folder.join("log").display());
    }

    /// Ends the server program at once, as a crash would, keeping its data.
    pub fn crash(&mut self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("its process");
        let pid = pid.lines().next().expect("a number").to_owned();
        assert!(Command::new("kill").args(["-QUIT", &pid]).status().expect("kill").success());
        // Ended, even if nobody has asked how.
        let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        while runs() {
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        if let Some(mut child) = self.child.take() {
            // The shell waits for its input; it is not to remove the data.
            child.kill().expect("the shell");
            child.wait().expect("the shell");
        }
        let _ = std::fs::remove_file(self.folder.join("data/postmaster.pid"));
    }

    pub fn create(&self, name: &str) {
        let statement = format!("CREATE DATABASE {name}");
        let done = self
            .command("psql")
            .args(["-q", "-U", "paidan", "-d", "postgres", "-c", &statement])
            .arg("-h")
            .arg(&self.folder)
            .status();
        assert!(done.expect("psql").success());
    }

    pub fn url(&self, name: &str) -> String {
        format!("postgres://paidan@localhost/{name}?host={}", self.folder.display())
    }

    fn command(&self, program: &str) -> Command {
        self.as_user(Command::new(self.programs.join(program)))
    }

    fn as_user(&self, mut command: Command) -> Command {
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            command.current_dir("/");
        }
        command
    }
}

/// Where PostgreSQL's server programs lie: in the path, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|one| one.path().join("bin")));
    places.into_iter().find(|place| ["initdb", "postgres", "psql", "pg_isready"].iter().all(|one| place.join(one).is_file()))
}

fn number(program: &str, arguments: &[&str]) -> Option<u32> {
    let output = Command::new(program).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
