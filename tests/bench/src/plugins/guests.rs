//! One plugin in three languages, each with one input and with six, built as its authors would.
//!
//! # Invariants
//! - The projects are those that `plugin new` writes, with one source file in another's place.
//! - Nothing is downloaded: the builders are those that `tests/run` has installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

/// A component, and what it was written in.
pub(crate) struct Guest {
    pub(crate) language: &'static str,
    /// How many inputs it declares and makes its keys of.
    pub(crate) inputs: usize,
    pub(crate) component: PathBuf,
}

/// A language: its flag of `plugin new`, its source file, and our text of it.
struct Language {
    title: &'static str,
    flag: &'static str,
    source: &'static str,
    text: &'static str,
}

const LANGUAGES: [Language; 3] = [
    Language {
        title: "Rust",
        flag: "rust",
        source: "src/lib.rs",
        text: include_str!("../../guests/plugin.rs"),
    },
    Language {
        title: "Python",
        flag: "python",
        source: "plugin.py",
        text: include_str!("../../guests/plugin.py"),
    },
    Language {
        title: "JavaScript",
        flag: "js",
        source: "plugin.js",
        text: include_str!("../../guests/plugin.js"),
    },
];

/// How many inputs the sources name.
const INPUTS_MAX: usize = 6;

/// Builds all of them in this folder.
///
/// # Errors
/// A builder is missing or does not build; says what it said.
pub(crate) fn build(wasmcached: &Path, dir: &Path) -> anyhow::Result<Vec<Guest>> {
    let all = LANGUAGES.iter().flat_map(|language| [(language, 1), (language, INPUTS_MAX)]);
    all.map(|(language, inputs)| build_one(wasmcached, dir, language, inputs)).collect()
}

fn build_one(
    wasmcached: &Path,
    dir: &Path,
    language: &Language,
    inputs: usize,
) -> anyhow::Result<Guest> {
    let project = dir.join(format!("keys-{inputs}-{}", language.flag));
    let mut new = Command::new(wasmcached);
    new.args(["plugin", "new"]).arg(&project).args(["--lang", language.flag]);
    printed(&mut new)?;
    // The names beyond the first so many are struck out of the list.
    let text = (inputs + 1..=INPUTS_MAX).fold(language.text.to_owned(), |text, n| {
        text.replace(&format!(", \"x-{n}\""), "").replace(&format!(", 'x-{n}'"), "")
    });
    fs::write(project.join(language.source), text)?;
    let mut build = builder(wasmcached, language, &project)?;
    let said = printed(&mut build).with_context(|| language.title)?;
    let last = said.lines().last().context("the builder named no component")?;
    Ok(Guest { language: language.title, inputs, component: project.join(last) })
}

/// The command that builds the project and prints the component's path last.
fn builder(wasmcached: &Path, language: &Language, project: &Path) -> anyhow::Result<Command> {
    let mut command = match language.flag {
        "python" => {
            let mut python =
                Command::new(made_by_run("WASMCACHED_VENV", "venv")?.join("bin/python"));
            python.args(["-B", "-m", "wasmcached_plugin", "build"]);
            python.env("PYTHONPATH", project.join("sdk/src"));
            python
        }
        "js" => {
            let modules = project.join("node_modules");
            fs::create_dir_all(&modules)?;
            let builder = made_by_run("WASMCACHED_NODE", "node")?.join("node_modules");
            symlink(builder.join("componentize-qjs"), modules.join("componentize-qjs"))?;
            symlink("../sdk", modules.join("wasmcached-plugin"))?;
            let mut node = Command::new("node");
            node.args(["node_modules/wasmcached-plugin/src/cli.js", "build"]);
            node
        }
        _ => {
            let mut build = Command::new(wasmcached);
            build.args(["plugin", "build"]).arg(project);
            build
                .env("CARGO_TARGET_DIR", wasmcached.with_file_name("plugin-projects"))
                .env("CARGO_NET_OFFLINE", "true");
            build
        }
    };
    command.current_dir(project);
    Ok(command)
}

/// A folder beside the build that `tests/run` fills, or the one that the variable names.
fn made_by_run(variable: &str, folder: &str) -> anyhow::Result<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).context("no folder above the program's")?;
    let path = named.unwrap_or_else(|| target.join(folder));
    anyhow::ensure!(
        path.is_dir(),
        "no {}; tests/run makes it, or {variable} names it",
        path.display()
    );
    Ok(path)
}

/// What a command prints that goes well.
pub(crate) fn printed(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?}: {}\n{said}{error}", output.status);
    Ok(said)
}
