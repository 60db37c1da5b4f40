//! Real Python clients, in the virtual environment that `tests/run` makes.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The interpreter: `WASMCACHED_VENV`, or `venv` in the build folder.
fn interpreter() -> PathBuf {
    let venv = std::env::var_os("WASMCACHED_VENV").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().expect("path of the test");
        // target/release/deps/it-… → target/venv
        test.ancestors().nth(3).expect("a build folder").join("venv")
    });
    let python = venv.join("bin/python");
    assert!(python.is_file(), "no {}; `tests/run` makes it", python.display());
    python
}

/// Runs a script of `tests/python/`; panics with what it said unless it exits with code 0.
#[track_caller]
pub fn run(script: &str, arguments: &[&str]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    let mut command = Command::new(interpreter());
    let output = command.arg(path).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("run Python");
    assert!(
        output.status.success(),
        "{script}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
