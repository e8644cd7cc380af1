//! Turns `proto/` into Rust without a protoc to install: protox reads the files, tonic-prost-build writes the code, and the
//! descriptors are kept for server reflection. Without the feature `server` there is nothing to do.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    // tonic-prost-build does not say so, and without it cargo would rerun us for every changed file.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    if env::var_os("CARGO_FEATURE_SERVER").is_none() {
        return Ok(());
    }
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files([
        "paidan/v1/routing.proto",
        "paidan/v1/rulings.proto",
        "paidan/v1/disputes.proto",
        "paidan/v1/catalog.proto",
    ])?;
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("paidan_descriptor.bin");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    // Our own codec: what a client sent broken is the client's fault, not INTERNAL. See src/server/codec.rs.
    let codec = "crate::server::codec::Codec";
    tonic_prost_build::configure().codec_path(codec).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
