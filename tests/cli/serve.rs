//! `paidan serve` as an administrator runs it: what it says when it is ready, and what it does on signals.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::catalogs;
use crate::place::{Ended, Place, UNAVAILABLE, signal};

#[cfg(unix)]
#[test]
fn serve_says_when_it_is_ready_and_drains_on_sigterm() {
    let place = Place::new();
    for name in ["TERM", "INT"] {
        let mut child = place
            .paidan(&["serve", "--address", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a ready line");
        assert!(
            line.starts_with("paidan is ready on 127.0.0.1:") && line.contains("6 departments") && line.contains("loaded in"),
            "{line}"
        );
        let address = line.split([' ', ':']).find_map(|word| word.parse::<u16>().ok()).expect("a port");
        std::net::TcpStream::connect(("127.0.0.1", address)).expect("it listens");
        signal(child.id(), name);
        Ended::of(child.wait_with_output().expect("it ends")).well();
    }
}

#[cfg(unix)]
#[test]
fn on_sighup_the_catalogue_is_read_again_and_a_fault_is_logged_with_its_place() {
    let place = Place::new();
    let folder = place.path("catalog");
    std::fs::create_dir(&folder).expect("a folder");
    catalogs::write(&folder, catalogs::FIRST);
    let mut child = place
        .paidan(&["serve", "--address", "127.0.0.1:0", "--log-format", "json"])
        .env("PAIDAN_CATALOG_PATH", &folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut ready).expect("a ready line");
    assert!(ready.contains("catalogue of 测试市 甲"), "{ready}");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut logged = |words: &str| log.find(|line| line.contains(words)).expect("a line of the log");

    catalogs::write(&folder, catalogs::SECOND);
    let fault = catalogs::spoil(&folder);
    signal(child.id(), "HUP");
    let line = logged("the catalogue was not exchanged");
    assert!(line.contains(&fault) && line.contains("ERROR"), "{line}");
    catalogs::write(&folder, catalogs::SECOND);
    signal(child.id(), "HUP");
    let line = logged("the catalogue was exchanged");
    assert!(line.contains("\"former\":\"甲\"") && line.contains("\"version\":\"乙\""), "{line}");
    signal(child.id(), "HUP");
    logged("says the same");
    signal(child.id(), "TERM");
    logged("stopped");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn serve_on_a_taken_address_says_the_way_out() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    place.run(&["serve", "--address", &address]).failed(UNAVAILABLE, &[&address, "--address"]);
}
