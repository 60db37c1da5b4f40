//! New versions of plugins while the server runs: from the API, from their files, and back again.
//!
//! # Invariants
//! - A version is published after it was compiled, configured, described and asked about the smoke
//!   cases; whatever is wrong before that leaves the old one as it is.
//! - Entries of another key epoch are not served: pages are told apart by their mark, and what a
//!   mark had before is invalidated, durably, before it is used again. What the old mark has is
//!   invalidated behind the change, for items.
//! - One change at a time.
//! - A replaced version is no longer asked about events once its day is over, or after everything
//!   that was stored under its mark has been invalidated, durably.
//!
//! # Not here
//! What the versions of a plugin are: `plugins`. Who still asks the old ones: `events`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;

use super::parts::Loadable;
use super::plugin_history::{PluginHistory, as_ran};
use super::watched_file::{Look, stamp_of};
use crate::api::{LoadPlugin, PluginChangeError, RollBackPlugin};
use crate::cache::{Cache, InvalidateError};
use crate::config::Watch;
use crate::model::{Cause, Invalidation, Mode, Target};
use crate::plugins::{self, PluginError, PluginOrigin, PluginSource, Plugins, Prepared, Versions};

/// How often watched files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Loads versions; clones share everything.
#[derive(Clone)]
pub(super) struct PluginLoader {
    shared: Arc<Shared>,
}

struct Shared {
    plugins: Plugins,
    cache: Cache,
    configured: Vec<Loadable>,
    /// Where there is a database.
    history: Option<PluginHistory>,
    /// Held while a version is made and published.
    changing: tokio::sync::Mutex<()>,
}

impl PluginLoader {
    /// A loader of the configured plugins.
    pub(super) fn new(
        plugins: Plugins,
        cache: Cache,
        configured: Vec<Loadable>,
        history: Option<PluginHistory>,
    ) -> Self {
        let changing = tokio::sync::Mutex::new(());
        Self { shared: Arc::new(Shared { plugins, cache, configured, history, changing }) }
    }

    /// Ends what the database has of plugins that ran above it and are not those that run now.
    /// Once, before anything is served.
    ///
    /// # Errors
    /// It could not be done, or not be noted.
    pub(super) async fn end_strangers(&self) -> Result<(), InvalidateError> {
        let Shared { plugins, configured, history, .. } = &*self.shared;
        let Some(history) = history else { return Ok(()) };
        let running = configured
            .iter()
            .filter_map(|loadable| Some(as_ran(&*plugins.get(&loadable.source.name)?, loadable)));
        let running: Vec<_> = running.collect();
        for (plugin, mark) in history.strangers(&running) {
            tracing::info!(plugin, mark, "ending entries of an earlier version or other settings");
            self.end(&plugin, &mark).await?;
        }
        Ok(history.note_only(running).await?)
    }

    /// For the API: loads a version that was sent.
    pub(super) fn on_load(&self) -> LoadPlugin {
        let loader = self.clone();
        Arc::new(move |name, component, only_if| {
            let loader = loader.clone();
            async move { loader.load(&name, component, only_if).await }.boxed()
        })
    }

    /// For the API: goes back to the version before.
    pub(super) fn on_roll_back(&self) -> RollBackPlugin {
        let loader = self.clone();
        Arc::new(move |name| {
            let loader = loader.clone();
            async move { loader.roll_back(&name).await }.boxed()
        })
    }

    /// The names of the plugins that have a file, with what reads it again.
    pub(super) fn files(
        &self,
    ) -> Vec<(String, impl Fn() -> Result<(), PluginChangeError> + use<>)> {
        let runtime = tokio::runtime::Handle::current();
        let configured = self.shared.configured.iter().enumerate();
        let with_file = configured.filter(|(_, loadable)| loadable.file().is_some());
        let hooks = with_file.map(|(at, loadable)| {
            let (loader, runtime) = (self.clone(), runtime.clone());
            let read_again = move || runtime.block_on(loader.reread(at));
            (loadable.source.name.clone(), read_again)
        });
        hooks.collect()
    }

    /// Looks at watched files, and lets go of versions whose time is over.
    pub(super) async fn watch_forever(self) {
        let mut looks = vec![Look::default(); self.shared.configured.len()];
        loop {
            tokio::time::sleep(LOOK).await;
            self.let_go_of_surplus().await;
            self.shared.plugins.forget();
            let both = self.shared.configured.iter().zip(&mut looks).enumerate();
            for (at, (loadable, look)) in both {
                let Some(path) = loadable.file().filter(|_| loadable.watch == Watch::Yes) else {
                    continue;
                };
                if look.has_settled_anew(stamp_of(path).await.ok()) {
                    let plugin = &loadable.source.name;
                    match self.reread(at).await {
                        Ok(()) => tracing::info!(plugin, "file read"),
                        Err(error) => tracing::error!(plugin, %error, "old version stays"),
                    }
                }
            }
        }
    }

    async fn load(
        &self,
        name: &str,
        component: Bytes,
        only_if: Option<String>,
    ) -> Result<(), PluginChangeError> {
        let (loadable, versions) = self.configured(name)?;
        let _changing = self.shared.changing.lock().await;
        let sha256 = versions.current().sha256().to_owned();
        if only_if.is_some_and(|wanted| wanted != sha256) {
            return Err(PluginChangeError::Another { sha256 });
        }
        if plugins::sha256_of(&component) == sha256 {
            return Ok(());
        }
        let changed = self.change(loadable, &versions, component).await;
        changed.inspect_err(|error| tracing::warn!(plugin = name, %error, "old version stays"))
    }

    async fn roll_back(&self, name: &str) -> Result<(), PluginChangeError> {
        let (_, versions) = self.configured(name)?;
        let _changing = self.shared.changing.lock().await;
        let Some(previous) = versions.previous() else {
            let name = name.to_owned();
            return Err(PluginChangeError::Refused(PluginError::NoPrevious { name }));
        };
        if previous.is_degraded() {
            // It has given way by itself, maybe a moment ago: this is no wish to have it back.
            return Err(PluginChangeError::Refused(versions.previous_fails()));
        }
        let (mark, was_given_up) = (previous.mark().to_owned(), previous.is_given_up());
        self.publish(&versions, &mark, |plugins| plugins.rollback(name, &previous)).await?;
        let (version, sha256) = (previous.version(), previous.sha256());
        tracing::info!(plugin = name, version, sha256, "back to the version before");
        if was_given_up {
            // Requests that began on it before have missed events meanwhile.
            self.end(name, &mark).await?;
        }
        Ok(())
    }

    /// Ends what was stored under versions that are not worth to be asked any longer, and lets go
    /// of them. Those of which it can't be ended durably are asked on.
    async fn let_go_of_surplus(&self) {
        let _changing = self.shared.changing.lock().await;
        for versions in self.shared.plugins.all().iter() {
            for version in versions.surplus() {
                let (plugin, number, mark) = (versions.name(), version.version(), version.mark());
                match self.end(plugin, mark).await {
                    Ok(()) => {
                        versions.let_go(&version);
                        tracing::info!(
                            plugin,
                            version = number,
                            mark,
                            "a replaced version is gone"
                        );
                    }
                    Err(error) => tracing::error!(plugin, mark, %error, "entries of a version"),
                }
            }
        }
    }

    /// Loads what the file has now, if it is another component than when it was last read.
    async fn reread(&self, at: usize) -> Result<(), PluginChangeError> {
        let Some(loadable) = self.shared.configured.get(at) else { return Ok(()) };
        let (_, versions) = self.configured(&loadable.source.name)?;
        let Some(path) = loadable.file().cloned() else { return Ok(()) };
        let _changing = self.shared.changing.lock().await;
        let name = loadable.source.name.clone();
        let read = run_blocking(move || {
            let bytes = plugins::read_file(&name, &path)?;
            Ok((plugins::sha256_of(&bytes), Bytes::from(bytes)))
        });
        let (sha256, component) = match read.await {
            Ok(read) => read,
            Err(error) => {
                versions.note_refused(error.to_string());
                return Err(error);
            }
        };
        if sha256 != versions.stored_sha256() && sha256 != versions.current().sha256() {
            self.change(loadable, &versions, component).await?;
        }
        versions.note_stored(sha256);
        Ok(())
    }

    fn configured(&self, name: &str) -> Result<(&Loadable, Arc<Versions>), PluginChangeError> {
        let Shared { configured, plugins, .. } = &*self.shared;
        let loadable = configured.iter().find(|loadable| loadable.source.name == name);
        loadable.zip(plugins.versions(name)).ok_or_else(|| PluginChangeError::Unknown {
            name: name.to_owned(),
            known: configured.iter().map(|loadable| loadable.source.name.clone()).collect(),
        })
    }

    /// Makes a version of these bytes and publishes it.
    async fn change(
        &self,
        loadable: &Loadable,
        versions: &Versions,
        component: Bytes,
    ) -> Result<(), PluginChangeError> {
        let changed = async {
            let prepared = self.prepare(loadable, component).await?;
            let mark = prepared.plugin().mark().to_owned();
            if let Some(history) = &self.shared.history {
                // Before it may tag anything.
                let noted = history.note(as_ran(prepared.plugin(), loadable)).await;
                noted.map_err(InvalidateError::from)?;
            }
            let publish = |plugins: &Plugins| {
                plugins.publish(prepared);
                Ok(())
            };
            self.publish(versions, &mark, publish).await
        };
        let outcome = changed.await;
        match &outcome {
            Ok(()) => {
                let (plugin, current) = (versions.name(), versions.current());
                let (version, sha256) = (current.version(), current.sha256());
                tracing::info!(plugin, version, sha256, "new version");
            }
            Err(error) => versions.note_refused(error.to_string()),
        }
        outcome
    }

    async fn prepare(
        &self,
        loadable: &Loadable,
        component: Bytes,
    ) -> Result<Prepared, PluginChangeError> {
        let source =
            PluginSource { origin: PluginOrigin::Bytes(component), ..loadable.source.clone() };
        let (plugins, cases) = (self.shared.plugins.clone(), loadable.smoke.clone());
        run_blocking(move || plugins.prepare(&source, &cases)).await
    }

    /// Has the version with this mark decide from now on.
    async fn publish(
        &self,
        versions: &Versions,
        mark: &str,
        publish: impl FnOnce(&Plugins) -> Result<(), PluginError>,
    ) -> Result<(), PluginChangeError> {
        let old = versions.current().mark().to_owned();
        if old == mark {
            return Ok(publish(&self.shared.plugins)?);
        }
        // What an earlier version left under this mark has missed events since.
        self.end(versions.name(), mark).await?;
        publish(&self.shared.plugins)?;
        if let Err(error) = self.end(versions.name(), &old).await {
            // Its pages are out of reach, and its items ended until a crash.
            tracing::error!(plugin = versions.name(), %error, "entries of the old key epoch");
        }
        Ok(())
    }

    /// Invalidates everything that was stored under a mark.
    async fn end(&self, name: &str, mark: &str) -> Result<(), InvalidateError> {
        let target = plugins::tag_of_mark(mark).map_or(Target::Everything, Target::Tag);
        let at_ms = self.shared.cache.clock().now_ms();
        let cause =
            Cause { source: format!("plugin {name}"), event_id: None, at_ms, ..Cause::default() };
        let targets = vec![(target, Mode::Hard)];
        self.shared.cache.invalidate(Invalidation { targets, cause }).await.map(drop)
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginChangeError> {
    let done = tokio::task::spawn_blocking(work).await;
    let gone = |error: tokio::task::JoinError| PluginError::Engine { reason: error.to_string() };
    Ok(done.map_err(gone)??)
}
