//! `paidan` on the command line. One file a command, one program for all of them.

#[path = "../support/catalogs.rs"]
mod catalogs;
#[path = "../support/cli.rs"]
mod place;
#[path = "../support/mod.rs"]
mod support;

mod audit;
mod catalog;
mod commands;
mod config;
mod demo;
mod recurrences;
mod replay;
mod route;
mod rulings;
mod serve;
