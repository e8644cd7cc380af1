//! The library as those who build on it meet it. One file a surface, one program for all of them.

#[path = "../support/catalogs.rs"]
mod catalogs;
#[path = "../database/mod.rs"]
mod database;
#[path = "../support/rulings.rs"]
mod drafts;
#[path = "../support/mod.rs"]
mod support;

mod audit_archive;
mod audit_bits;
mod catalog;
mod encoder;
mod encoder_ops;
mod evaluation;
mod exchange;
mod hub;
mod hub_trained;
mod model_folder;
mod precedents;
mod recurrences;
mod reference;
mod repeats;
mod router;
mod router_decided;
mod router_matters;
mod router_newcomers;
mod router_orders;
mod router_reform;
mod router_returns;
mod router_rulings;
mod router_rulings_catalog;
mod router_words;
mod store;
mod store_opening;
mod store_orders;
mod store_rulings;
mod text;
