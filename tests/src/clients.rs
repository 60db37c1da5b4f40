//! Real clients: scripts in `tests/clients`, over the packages that `tests/run` installs, and the
//! programs of Debian's packages.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What `tests/run` made: where the environment says, or in the build folder.
fn made_by_run(variable: &str, name: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().expect("path of the test");
        // target/release/deps/it-… → target/NAME
        test.ancestors().nth(3).expect("a build folder").join(name)
    });
    assert!(path.is_dir(), "no {}; `tests/run` makes it", path.display());
    path
}

/// The interpreter with the packages of `tests/clients/python`.
pub fn python_interpreter() -> PathBuf {
    made_by_run("WASMCACHED_VENV", "venv").join("bin/python")
}

/// The folder with the packages of `tests/clients/node`.
pub fn node_modules() -> PathBuf {
    made_by_run("WASMCACHED_NODE", "node").join("node_modules")
}

/// The folder with a folder for each release of Django.
pub fn django_releases() -> PathBuf {
    made_by_run("WASMCACHED_DJANGO", "django")
}

fn script(language: &str, name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients");
    folder.join(language).join(name)
}

/// The plug-ins of Debian's SASL library, for libraries that bring one without any.
fn sasl_path() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("read /usr/lib");
    let paths = folders.filter_map(Result::ok).map(|entry| entry.path().join("sasl2"));
    let found = paths.into_iter().find(|path| path.is_dir());
    found.expect("no /usr/lib/*/sasl2; `tests/run` installs libsasl2-modules")
}

/// Runs a script of `tests/clients/python` to its end; panics unless it exits with code 0.
#[track_caller]
pub fn python(name: &str, arguments: &[&str]) {
    let mut command = Command::new(python_interpreter());
    command.arg("-B").arg(script("python", name)).args(arguments).env("SASL_PATH", sasl_path());
    succeed(command);
}

/// Runs a script of `tests/clients/node` to its end; panics unless it exits with code 0.
#[track_caller]
pub fn node(name: &str, arguments: &[&str]) {
    let mut command = Command::new("node");
    command.arg(script("node", name)).args(arguments).env("NODE_PATH", node_modules());
    succeed(command);
}

/// Runs a program in a folder to its end, whatever that is.
#[track_caller]
pub fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{program}: {error}; `tests/run` installs it"))
}

/// What a program printed, which has to exit with code 0.
#[track_caller]
pub fn printed(program: &str, arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    succeed(command)
}

#[track_caller]
fn succeed(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{printed}{errors}", output.status);
    printed
}

/// An origin that is a script of `tests/clients/python`; a dropped one is killed by its id and
/// waited for.
pub struct PythonOrigin {
    child: Child,
    port: u16,
}

impl PythonOrigin {
    /// Starts the script, which prints `port N` when it listens.
    #[track_caller]
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(python_interpreter());
        command.arg("-B").arg(script("python", name)).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the origin");
        let mut line = String::new();
        let printed = child.stdout.take().expect("piped");
        BufReader::new(printed).read_line(&mut line).expect("read its port");
        let port = line.trim().strip_prefix("port ").and_then(|text| text.parse().ok());
        let port = port.unwrap_or_else(|| panic!("{name} printed {line:?} instead of its port"));
        Self { child, port }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for PythonOrigin {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
