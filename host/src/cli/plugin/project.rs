//! A plugin project: its language, and the tools that build and test it.
//!
//! # Invariants
//! - What a tool prints is passed on: its errors need no translation.
//! - Tools run in the project's folder and install into it alone.
//!
//! # Not here
//! How a component is made: the languages' own tools.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::{PluginFailure, at};
use super::say;

/// What Rust is compiled for.
const TARGET: &str = "wasm32-wasip2";

/// A language that plugins are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// `Cargo.toml`
    Rust,
    /// `pyproject.toml`
    Python,
    /// `package.json`
    Js,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Js, Self::Python];

    /// As on the command line and in `guest-sdk/`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Js => "js",
        }
    }

    /// As people write it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Js => "JavaScript",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Python => "pyproject.toml",
            Self::Js => "package.json",
        }
    }
}

/// A folder with a plugin's source.
pub(super) struct Project {
    dir: PathBuf,
    language: Language,
}

impl Project {
    /// The project in this folder; its manifest says in which language.
    pub(super) fn open(dir: &Path) -> Result<Self, PluginFailure> {
        let found = Language::ALL.into_iter().find(|l| dir.join(l.manifest()).is_file());
        let language = found.ok_or_else(|| PluginFailure::NoProject { dir: dir.to_owned() })?;
        // Whole, because tools run in it and are themselves named by paths in it.
        Ok(Self { dir: std::path::absolute(dir).map_err(at(dir))?, language })
    }

    /// Where its fixtures are.
    pub(super) fn fixtures(&self) -> PathBuf {
        self.dir.join("fixtures")
    }

    /// Builds the component and returns where it is.
    pub(super) fn build(&self) -> Result<PathBuf, PluginFailure> {
        match self.language {
            Language::Rust => self.build_rust(),
            Language::Python => {
                let mut build = self.tool(self.python()?);
                build.args(["-m", "wasmcached_plugin", "build"]);
                self.build_by(build, "install Python 3")
            }
            Language::Js => {
                self.have_node_modules()?;
                let mut build = self.tool("npx");
                build.args(["--no-install", "wasmcached-plugin", "build"]);
                self.build_by(build, HOW_NPM)
            }
        }
    }

    /// Runs the tests that the project has in its own language.
    pub(super) fn test(&self) -> Result<(), PluginFailure> {
        match self.language {
            Language::Rust => {
                let mut test = self.tool("cargo");
                run(test.arg("test"), HOW_CARGO)
            }
            Language::Python => {
                let mut test = self.tool(self.python()?);
                run(test.args(["-m", "pytest"]), HOW_PYTHON)
            }
            Language::Js => {
                self.have_node_modules()?;
                let mut test = self.tool("npm");
                run(test.args(["test", "--silent"]), HOW_NPM)
            }
        }
    }

    fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    fn build_rust(&self) -> Result<PathBuf, PluginFailure> {
        self.have_target()?;
        let mut build = self.tool("cargo");
        build.args(["build", "--release", "--target", TARGET]);
        build.arg("--message-format=json-render-diagnostics");
        let mut component = None;
        read(&mut build, HOW_CARGO, |line| {
            component = artifact(&line).or(component.take());
            Ok(())
        })?;
        let how = "its Cargo.toml needs `crate-type = [\"cdylib\", \"rlib\"]` under [lib]";
        component.ok_or_else(|| PluginFailure::NoComponent { dir: self.dir.clone(), how })
    }

    fn have_target(&self) -> Result<(), PluginFailure> {
        let mut ask = self.tool("rustc");
        ask.args(["--print", "target-libdir", "--target", TARGET]);
        let mut has = false;
        read(&mut ask, HOW_CARGO, |line| {
            has = Path::new(line.trim()).is_dir();
            Ok(())
        })?;
        let how = "`rustup target add wasm32-wasip2` installs it";
        let missing = || PluginFailure::NoTool { tool: format!("Rust's target {TARGET}"), how };
        has.then_some(()).ok_or_else(missing)
    }

    /// By a builder whose last line is the component's path.
    fn build_by(&self, mut builder: Command, how: &'static str) -> Result<PathBuf, PluginFailure> {
        let mut last = None;
        read(&mut builder, how, |line| match last.replace(line) {
            Some(before) => say(before),
            None => Ok(()),
        })?;
        let component = last.map(|line| self.dir.join(line.trim())).filter(|path| path.is_file());
        let how = "its builder named none on its last line";
        component.ok_or_else(|| PluginFailure::NoComponent { dir: self.dir.clone(), how })
    }

    /// The interpreter of the project's virtual environment, which is made if it is missing.
    fn python(&self) -> Result<PathBuf, PluginFailure> {
        let folder = if cfg!(windows) { "Scripts" } else { "bin" };
        let python = self.dir.join(".venv").join(folder).join("python");
        if !python.is_file() {
            run(self.tool("python3").args(["-m", "venv", ".venv"]), HOW_PYTHON)?;
        }
        // An installation may have broken off.
        let mut import = self.tool(&python);
        import.args(["-c", "import wasmcached_plugin"]).stderr(Stdio::null());
        if run(&mut import, HOW_PYTHON).is_err() {
            let mut install = self.tool(&python);
            install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            install.args(["--requirement", "requirements.txt"]);
            run(&mut install, HOW_PYTHON)?;
        }
        Ok(python)
    }

    fn have_node_modules(&self) -> Result<(), PluginFailure> {
        if self.dir.join("node_modules/.bin/wasmcached-plugin").exists() {
            return Ok(());
        }
        let mut install = self.tool("npm");
        run(install.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]), HOW_NPM)
    }
}

const HOW_CARGO: &str = "rustup installs it: https://rustup.rs";
const HOW_NPM: &str = "it comes with Node.js 18 or newer: https://nodejs.org";
const HOW_PYTHON: &str = "install Python 3.9 or newer with its module `venv`";

/// The component in a line of cargo's (cargo's reference, "External tools").
fn artifact(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let kinds = message.pointer("/target/kind")?.as_array()?;
    if !kinds.iter().any(|kind| kind == "cdylib") {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(|file| file.as_str());
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|e| e == "wasm"))
}

/// Runs a tool to its end; what it prints goes where ours goes.
fn run(command: &mut Command, how: &'static str) -> Result<(), PluginFailure> {
    let status = command.status().map_err(|error| not_started(command, error, how))?;
    ended(command, status)
}

/// The same with every line of its standard output taken.
fn read(
    command: &mut Command,
    how: &'static str,
    mut take: impl FnMut(String) -> Result<(), PluginFailure>,
) -> Result<(), PluginFailure> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(command, error, how))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            take(line?)?;
        }
    }
    ended(command, child.wait()?)
}

fn ended(command: &Command, status: std::process::ExitStatus) -> Result<(), PluginFailure> {
    match status.success() {
        true => Ok(()),
        false => Err(PluginFailure::ToolFailed { command: shown(command), status }),
    }
}

fn not_started(command: &Command, error: io::Error, how: &'static str) -> PluginFailure {
    let tool = command.get_program().to_string_lossy().into_owned();
    match error.kind() {
        io::ErrorKind::NotFound => PluginFailure::NoTool { tool, how },
        _ => PluginFailure::File { path: tool.into(), source: error },
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
