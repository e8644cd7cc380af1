//! The router behind gRPC.
