//! How our patterns are compiled.

use regex::{Regex, RegexBuilder};

/// Memory that a pattern may use for the states of its automaton, for each thread that searches with it. By default it is 2 MiB, and
/// a service of two dozen patterns and as many threads then keeps a hundred megabytes of states that it hardly needs: the automaton is
/// built as it goes, and begins anew when it is full.
const STATES: usize = 256 << 10;

/// Compiles a pattern of our own.
///
/// # Panics
/// If it is none: our own bug, which every test finds.
pub fn pattern(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).dfa_size_limit(STATES).build().expect("our own pattern")
}
