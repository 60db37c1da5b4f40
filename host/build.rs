//! Compiles the plugins that ship inside the binary, and those that tests load; lists the files of
//! which `plugin new` makes a project.
//!
//! A nested cargo does it, because cargo can't yet build a dependency for another target
//! (`-Z bindeps` is unstable). It has a target directory of its own, or it would wait for ever for
//! the lock that the outer cargo holds.
//!
//! Of the plugins for tests it writes an enum, `guests.rs`, over which the host's tests match: a
//! folder in `tests/guests` without a test does not compile.
#![allow(clippy::print_stdout, reason = "a build script talks to cargo by its standard output")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// The plugins inside the binary: folders of `plugins/`.
const SHIPPED: [&str; 4] = ["django", "nginx-keys", "rules", "trekking"];

/// Every folder in here is a plugin for tests.
const TEST_GUESTS: &str = "tests/guests";

/// What `plugin new` writes, by its place in the repository and the name it is embedded by.
const PROJECT_FILES: [(&str, &str); 10] = [
    ("Cargo.toml", "workspace.toml"),
    ("guest-sdk/Cargo.toml", "sdk/rust/Cargo.toml"),
    ("guest-sdk/macros", "sdk/rust/macros"),
    ("guest-sdk/src", "sdk/rust/src"),
    ("guest-sdk/wit", "sdk/rust/wit"),
    ("guest-sdk/python", "sdk/python"),
    ("guest-sdk/js", "sdk/js"),
    ("guest-sdk/templates/rust", "template/rust"),
    ("guest-sdk/templates/python", "template/python"),
    ("guest-sdk/templates/js", "template/js"),
];

/// What tools leave in a project.
const LEFT_BEHIND: [&str; 7] = [
    ".pytest_cache",
    ".venv",
    "__pycache__",
    "dist",
    "node_modules",
    "package-lock.json",
    "target",
];

/// The libraries' own tests, which a project has no use for.
const OWN_TESTS: [&str; 3] = ["sdk/python/tests", "sdk/js/test", "sdk/js/tests"];

/// What an outer cargo, clippy or coverage tool sets and a build for Wasm must not inherit.
const FOREIGN: [&str; 13] = [
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "LLVM_PROFILE_FILE",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
];

fn main() {
    if let Err(problem) = build() {
        println!("cargo::error={}", problem.replace('\n', " / "));
    }
}

fn build() -> Result<(), String> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = manifest_dir.parent().ok_or("host/ has no parent directory")?;
    // Relative to this package, so that two checkouts with one target directory don't mistake each
    // other's plugins for their own.
    for path in ["../Cargo.lock", "../Cargo.toml", "../guest-sdk", "../plugins", "../tests/guests"]
    {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    embed(root)?;
    have_target()?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let target_dir = out_dir.join("guests");
    let guests = test_guests(root)?;
    let shipped = SHIPPED.map(|folder| (folder, format!("wasmcached-plugin-{folder}")));
    let tested = guests.iter().map(|name| (name.as_str(), format!("wasmcached-guest-{name}")));
    let all: Vec<(&str, String)> = shipped.into_iter().chain(tested).collect();
    compile(root, &target_dir, all.iter().map(|(_, package)| package.as_str()))?;
    for (folder, package) in &all {
        let file = format!("{}.wasm", package.replace('-', "_"));
        let path = target_dir.join(TARGET).join("release").join(file);
        let name = format!("WASMCACHED_GUEST_{}", folder.to_uppercase().replace('-', "_"));
        println!("cargo::rustc-env={name}={}", path.display());
    }
    let written = fs::write(out_dir.join("guests.rs"), enum_of(&guests));
    written.map_err(|error| format!("guests.rs: {error}"))
}

/// The folders of the plugins for tests, in the order of their names.
fn test_guests(root: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("{TEST_GUESTS}: {error}");
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(TEST_GUESTS)).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.join("Cargo.toml").is_file()
            && let Some(name) = path.file_name().and_then(|name| name.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// `enum Guest` with a variant and a file for each.
fn enum_of(guests: &[String]) -> String {
    let variants: Vec<String> = guests.iter().map(|name| variant(name)).collect();
    let arms = guests.iter().zip(&variants).map(|(name, variant)| {
        let file = format!("WASMCACHED_GUEST_{}", name.to_uppercase().replace('-', "_"));
        format!("            Self::{variant} => env!(\"{file}\"),\n")
    });
    let arms: String = arms.collect();
    let all: Vec<String> = variants.iter().map(|variant| format!("Self::{variant}")).collect();
    format!(
        "/// A plugin for tests: a folder of `{TEST_GUESTS}`.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq)]\n\
         pub(super) enum Guest {{\n    {},\n}}\n\n\
         impl Guest {{\n    /// All of them.\n    \
         pub(super) const ALL: &[Self] = &[{}];\n\n    \
         /// Its component.\n    \
         pub(super) fn file(self) -> &'static str {{\n        match self {{\n{arms}        \
         }}\n    }}\n}}\n",
        variants.join(",\n    "),
        all.join(", "),
    )
}

/// `two-words` as `TwoWords`.
fn variant(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}

/// Writes the list of embedded files, which `cli/plugin/template.rs` includes.
fn embed(root: &Path) -> Result<(), String> {
    let mut files = Vec::new();
    for (place, name) in PROJECT_FILES {
        let path = root.join(place);
        if path.exists() {
            collect(&path, name, &mut files)?;
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for (name, path) in files {
        // Writing to a string can't fail.
        let _ = writeln!(list, "    ({name:?}, include_bytes!({:?})),", path.display().to_string());
    }
    list.push_str("]\n");
    let path = Path::new(&variable("OUT_DIR")?).join("project_files.rs");
    fs::write(&path, list).map_err(|error| format!("{}: {error}", path.display()))
}

fn collect(path: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    if path.is_file() {
        files.push((name.to_owned(), path.to_owned()));
        return Ok(());
    }
    let unreadable = |error| format!("{}: {error}", path.display());
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let is_left = LEFT_BEHIND.contains(&file.as_str())
            || [".egg-info", ".pyc", ".wasm"].iter().any(|ending| file.ends_with(ending));
        let name = format!("{name}/{file}");
        if !is_left && !OWN_TESTS.contains(&name.as_str()) {
            collect(&entry.path(), &name, files)?;
        }
    }
    Ok(())
}

fn have_target() -> Result<(), String> {
    if has_target()? {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).output();
    if added.is_ok_and(|output| output.status.success()) && has_target()? {
        return Ok(());
    }
    Err(format!(
        "the Rust target {TARGET} is missing and `rustup target add {TARGET}` did not install it; \
         install it by hand, the shipped plugins are compiled for it"
    ))
}

fn has_target() -> Result<bool, String> {
    let rustc = variable("RUSTC")?;
    let output = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| format!("{rustc}: {error}"))?;
    let lib_dir = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(lib_dir.trim()).is_dir())
}

fn compile<'a>(
    root: &Path,
    target_dir: &Path,
    packages: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    for name in FOREIGN {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(root)
        .args(["build", "--release", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        // Small rather than fast: they are part of the binary and compiled at every start.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    if root.join("Cargo.lock").is_file() {
        cargo.arg("--locked");
    }
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo.output().map_err(|error| format!("cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("the shipped plugins don't compile: {}", errors.trim()))
}
