//! Generates Rust code from the `.proto` files of the repository, with a protobuf compiler in Rust.

use std::error::Error;

const PROTO_FOLDER: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(["inference.proto"], [PROTO_FOLDER])?;
    tonic_prost_build::configure()
        .bytes(".")
        .generate_default_stubs(true)
        .build_client(false)
        .compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed={PROTO_FOLDER}");
    Ok(())
}
