//! What build.rs made of `proto/`: messages, server and client. The documentation of each item is the proto's own comment.

// Generated code follows the generators' taste, not ours.
#![allow(missing_docs, unused_qualifications, clippy::all, rustdoc::all)]

tonic::include_proto!("paidan.v1");

/// All of `proto/` and what it imports, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("paidan_descriptor");
