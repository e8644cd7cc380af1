//! A panic says where it happened and nothing else: its message may hold part of an appeal (a bad slice of a string quotes up to
//! 256 bytes of it), and standard error ends up in a log.

use std::io::Write;

/// Sets the hook for the whole process.
pub fn say_only_where() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let _ = match panic.location() {
            Some(place) => writeln!(std::io::stderr(), "paidan: our own fault at {place} (thread {name})"),
            None => writeln!(std::io::stderr(), "paidan: our own fault (thread {name})"),
        };
    }));
}
