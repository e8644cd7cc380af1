//! `paidan-train` on the command line. One file a command, one program for all of them.

#[path = "../../../tests/support/mod.rs"]
mod support;
#[path = "../support/workshop.rs"]
mod workshop;

mod adapt;
mod crossfit;
mod ending;
mod held;
mod recurrences;
mod refused;
mod train;
