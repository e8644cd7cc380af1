//! paidan (派单): which department should handle a citizen's appeal, and how likely that is to be disputed.
//!
//! One way through the house. An appeal goes
//!
//! ```text
//! text → tokens → queue → encoder → heads → calibration → decision → reply
//! ```
//!
//! and the rooms stand in that order:
//!
//! - [`text`] parses an appeal at the door, masks personal data, cleans and tokenizes it;
//! - [`model`] reads a model folder and runs the encoder with its two heads; beside it the words have an opinion of their own;
//! - [`catalog`] knows who does what in a city, by which basis and since when;
//! - [`rulings`] is what was decided before about who is responsible;
//! - [`routing`] turns what the model says, with the help of the catalogue, into a [`routing::Decision`]. Read `routing/router.rs` first;
//! - [`disputes`] follows an order that comes back, to the case file that a committee reads;
//! - [`repeats`] says whether an order is about something that an open one is about already;
//! - [`evaluation`] measures decisions against what was decided in the end;
//! - `server` (feature `server`) puts the router behind gRPC: bounded queue, batcher, drain;
//! - `store` (same feature) keeps rulings and the audit trail in a database;
//! - `config` and `hub` (same feature) say how it is set up and where its model comes from.
//!
//! `text`, `model`, `catalog`, `rulings`, `routing`, `disputes`, `repeats` and `evaluation` are pure: they know no runtime, no network, no database and no clock. A test
//! guards that. The training crate uses them without the server; the two meet here and in the model folder, nowhere else.

pub mod catalog;
pub mod disputes;
pub mod evaluation;
pub mod model;
pub mod repeats;
pub mod routing;
pub mod rulings;
pub mod text;

#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod hub;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
