//! Writes the code of the schema into `schema/src`, or with `--check` says whether it is what the schema gives. It needs
//! the compiler `capnp`. It must not be part of a build.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let check = env::args().nth(1).as_deref() == Some("--check");
    match run(check) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("schema/src is not what the schema gives: cargo run --manifest-path schema/gen/Cargo.toml");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("generate the schema's code: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what stands there is what the schema gives; without `check` it is made so.
fn run(check: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let made = env::temp_dir().join(format!("blit-schema-{}", std::process::id()));
    fs::create_dir_all(&made)?;
    let mut command = capnpc::CompilerCommand::new();
    command
        .src_prefix(&schema)
        .no_standard_import()
        .import_path(schema.join("include"))
        .output_path(&made)
        .default_parent_module(Vec::new());
    for name in NAMES {
        command.file(schema.join(format!("{name}.capnp")));
    }
    command.run()?;
    let mut is_same = true;
    for name in NAMES {
        let text = fs::read_to_string(made.join(format!("{name}_capnp.rs")))?;
        let text = format!("// @generated from {name}.capnp by schema/gen\n{text}");
        is_same &= settle(&schema.join(format!("src/{name}_capnp.rs")), &text, check)?;
    }
    let digest = NAMES.iter().try_fold(String::new(), |mut all, name| {
        let bytes = fs::read(schema.join(format!("{name}.capnp")))?;
        writeln!(all, "{:016x} {name}.capnp", fnv(&bytes)).map_err(io::Error::other)?;
        Ok::<_, io::Error>(all)
    })?;
    is_same &= settle(&schema.join("src/digests"), &digest, check)?;
    fs::remove_dir_all(&made)?;
    Ok(is_same)
}

fn settle(path: &PathBuf, text: &str, check: bool) -> io::Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(true);
    }
    if !check {
        fs::write(path, text)?;
    }
    Ok(!check)
}

/// FNV-1a: it only tells a forgotten run apart, not an attack.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const NAMES: [&str; 2] = ["control", "session"];
