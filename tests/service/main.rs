//! The service as its callers meet it: a real server at a free port. One file a surface, one program for all of them, since each program is linked with the whole server.

#[path = "../support/catalogs.rs"]
mod catalogs;
#[path = "../database/mod.rs"]
mod database;
#[path = "../support/disputes.rs"]
mod disputes;
#[path = "../support/rulings.rs"]
mod drafts;
#[path = "../service_support/mod.rs"]
mod service_support;
#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod catalog;
mod decided;
mod dispute_story;
mod imports;
mod lifecycle;
mod logging;
mod open_orders;
mod orders;
mod overload;
mod recurrences;
mod reload;
mod repeats;
mod returns;
mod rulings;
mod rulings_edges;
mod settled;
mod standing;
mod stream;
mod told;
mod unary;
