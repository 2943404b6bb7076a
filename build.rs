//! Passes the linker what a Node addon needs; the core alone needs nothing.

fn main() {
    // Without this Cargo watches every file of the project, built pages and all.
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "binding")]
    napi_build::setup();
}
