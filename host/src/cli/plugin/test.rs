//! `plugin test`: a project's own tests, its fixtures, and the replay of an access log.
//!
//! # Invariants
//! - Fixtures are asked of the component that a server would load, not of the source.
//!
//! # Not here
//! What fixtures say: `fixtures`. What a replay counts: `replay`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::cached::look_up;
use super::component::SettingsArgs;
use super::error::{PluginFailure, at, wrong};
use super::fixtures::Fixtures;
use super::project::Project;
use super::{replay, say};

/// `wasmcached plugin test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// An access log in the common or combined format: estimates what would be cached
    #[arg(long, value_name = "ACCESS_LOG")]
    replay: Option<PathBuf>,
    /// The host that the access log is of
    #[arg(long, default_value = "localhost", requires = "replay")]
    host: String,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl TestArgs {
    /// Tests the project; the first kind of test that fails is the last.
    pub(super) fn run(&self) -> Result<(), PluginFailure> {
        let project = Project::open(&self.dir)?;
        project.test()?;
        let component = project.build()?;
        self.run_fixtures(&component, &project.fixtures())?;
        match &self.replay {
            None => Ok(()),
            Some(log) => replay::run(&self.settings.open(&component)?, log, &self.host),
        }
    }

    fn run_fixtures(&self, component: &Path, folder: &Path) -> Result<(), PluginFailure> {
        let (mut passed, mut failed) = (0, 0);
        for path in files(folder)? {
            let text = fs::read_to_string(&path).map_err(at(&path))?;
            if !text.trim_start().starts_with('{') {
                return Err(wrong(&path, "no JSON object"));
            }
            let fixtures: Fixtures = serde_json::from_str(&text).map_err(|e| wrong(&path, e))?;
            let mut settings = self.settings.clone();
            settings.config.extend(fixtures.config.clone());
            let bench = settings.open(component)?;
            bench.look_in(look_up(&fixtures.cache).map_err(|reason| wrong(&path, reason))?);
            let report = fixtures.run(&mut bench.subject()?, bench.inputs());
            for failure in &report.failed {
                say(format_args!("{}: {failure}", path.display()))?;
            }
            passed += report.passed;
            failed += report.failed.len();
        }
        say(format_args!("fixtures: {passed} passed, {failed} failed"))?;
        match failed {
            0 => Ok(()),
            count => Err(PluginFailure::Findings { count }),
        }
    }
}

/// The files of fixtures in the folder, by name; a project without any has none.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PluginFailure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
