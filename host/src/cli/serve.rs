//! `wasmcached serve`: flags, each with its environment variable and its place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::config::{
    ConfigErrors, RawApi, RawConfig, RawMemcached, RawPages, RawPlugin, RawTls, ReadError,
};

/// `NAME=FILE` pairs as `--plugin` has them, separated by commas. Read here and not by clap, which
/// would split the flag's values as well.
const PLUGINS_OF_ENVIRONMENT: &str = "WASMCACHED_PLUGIN";

/// Flags win over the environment, the environment over the file.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "WASMCACHED_CONFIG")]
    config: Option<PathBuf>,
    /// Address of a memcached listener; may be given several times; port 0 takes any free port;
    /// `notls:` before it keeps it without TLS where there is a certificate
    #[arg(long, value_name = "ADDR:PORT", env = "WASMCACHED_MEMCACHED", value_delimiter = ',')]
    memcached: Option<Vec<String>>,
    /// Unix socket of a memcached listener, beside TCP
    #[arg(long, value_name = "PATH", env = "WASMCACHED_MEMCACHED_UNIX")]
    memcached_unix: Option<PathBuf>,
    /// Mode of that socket, in octal: 0700
    #[arg(long, value_name = "MODE", env = "WASMCACHED_MEMCACHED_UNIX_MODE")]
    memcached_unix_mode: Option<String>,
    /// Owner of that socket
    #[arg(long, value_name = "USER:GROUP", env = "WASMCACHED_MEMCACHED_UNIX_OWNER")]
    memcached_unix_owner: Option<String>,
    /// Address of the page cache
    #[arg(long, value_name = "ADDR:PORT", env = "WASMCACHED_PAGES")]
    pages: Option<String>,
    /// Origin of the pages
    #[arg(long, value_name = "URL", env = "WASMCACHED_ORIGIN")]
    origin: Option<String>,
    /// Address of the API and of the webhook
    #[arg(long, value_name = "ADDR:PORT", env = "WASMCACHED_API")]
    api: Option<String>,
    /// Memory for entries
    #[arg(long, value_name = "SIZE", env = "WASMCACHED_MEMORY")]
    memory: Option<String>,
    /// Largest value
    #[arg(long, value_name = "SIZE", env = "WASMCACHED_MAX_ITEM_SIZE")]
    max_item_size: Option<String>,
    /// Most memcached connections at once
    #[arg(long, value_name = "N", env = "WASMCACHED_MAX_CONNECTIONS")]
    max_connections: Option<u32>,
    /// Worker threads
    #[arg(long, value_name = "N", env = "WASMCACHED_THREADS")]
    threads: Option<u32>,
    /// Users of the memcached listener
    #[arg(long, value_name = "FILE", env = "WASMCACHED_MEMCACHED_AUTH_FILE")]
    memcached_auth_file: Option<PathBuf>,
    /// Certificate chain of the memcached listeners, PEM; read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "WASMCACHED_MEMCACHED_TLS_CERT")]
    memcached_tls_cert: Option<PathBuf>,
    /// Private key of the memcached listeners, PEM
    #[arg(long, value_name = "FILE", env = "WASMCACHED_MEMCACHED_TLS_KEY")]
    memcached_tls_key: Option<PathBuf>,
    /// Close a memcached connection that is silent for so long
    #[arg(long, value_name = "DURATION", env = "WASMCACHED_IDLE_TIMEOUT")]
    idle_timeout: Option<String>,
    /// Refuse new values when memory is full, instead of evicting old ones
    #[arg(long, env = "WASMCACHED_NO_EVICT", num_args = 0..=1, require_equals = true,
          value_name = "yes|no", default_missing_value = "true", value_parser = yes_or_no)]
    no_evict: Option<bool>,
    /// Refuse flush_all
    #[arg(long, env = "WASMCACHED_NO_FLUSH", num_args = 0..=1, require_equals = true,
          value_name = "yes|no", default_missing_value = "true", value_parser = yes_or_no)]
    no_flush: Option<bool>,
    /// Allow the memcached command `shutdown`
    #[arg(long, env = "WASMCACHED_ALLOW_SHUTDOWN", num_args = 0..=1, require_equals = true,
          value_name = "yes|no", default_missing_value = "true", value_parser = yes_or_no)]
    allow_shutdown: Option<bool>,
    /// Database tier: sqlite:///path or postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "WASMCACHED_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Folder in which compiled plugins are kept, or `off`; without it, where the system has caches
    #[arg(long, value_name = "DIR", env = "WASMCACHED_PLUGIN_CACHE")]
    plugin_cache: Option<PathBuf>,
    /// Load a plugin from a file; may be given several times [env: WASMCACHED_PLUGIN, separated by
    /// commas]
    #[arg(long, value_name = "NAME=FILE", value_parser = plugin_pair)]
    plugin: Vec<(String, PathBuf)>,
    /// Check the configuration, bind nothing, tell how far the database's schema is, and exit
    #[arg(long)]
    pub check: bool,
}

/// Why there is no configuration to run with.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A variable of the environment.
    #[error("{name}: {message}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// The value and what is allowed.
        message: String,
    },
    /// Two files for one plugin.
    #[error("plugin {name}: named twice, with two files")]
    Twice {
        /// Its name.
        name: String,
    },
    /// Values of the file, of flags or of the environment.
    #[error(transparent)]
    Check(#[from] ConfigErrors),
}

impl ServeArgs {
    /// Reads the file and lays environment and flags over it; unchecked.
    pub fn load(self) -> Result<RawConfig, ServeError> {
        let file = self.config.as_deref().map(RawConfig::read).transpose()?.unwrap_or_default();
        let plugins = plugins_of(std::env::var_os(PLUGINS_OF_ENVIRONMENT))?;
        named_once(&plugins)?;
        named_once(&self.plugin)?;
        let environment = RawConfig { plugins: raw_plugins(plugins), ..RawConfig::default() };
        Ok(file.overlaid_with(environment).overlaid_with(self.into_raw()))
    }

    fn into_raw(self) -> RawConfig {
        RawConfig {
            memory: self.memory,
            max_item_size: self.max_item_size,
            threads: self.threads,
            evict: self.no_evict.map(|is_off| !is_off),
            database: self.database,
            plugin_cache: self.plugin_cache,
            memcached: RawMemcached {
                listen: self.memcached,
                unix: self.memcached_unix,
                unix_mode: self.memcached_unix_mode,
                unix_owner: self.memcached_unix_owner,
                max_connections: self.max_connections,
                idle_timeout: self.idle_timeout,
                flush: self.no_flush.map(|is_off| !is_off),
                shutdown: self.allow_shutdown,
                watch: None,
                dump: None,
                auth_file: self.memcached_auth_file,
                tls: RawTls {
                    cert: self.memcached_tls_cert,
                    key: self.memcached_tls_key,
                    client_ca: None,
                },
                insecure: None,
            },
            pages: RawPages {
                listen: self.pages.map(|one| vec![one]),
                origin: self.origin,
                ..RawPages::default()
            },
            api: RawApi { listen: self.api, ..RawApi::default() },
            plugins: raw_plugins(self.plugin),
            ..RawConfig::default()
        }
    }
}

fn raw_plugins(pairs: Vec<(String, PathBuf)>) -> BTreeMap<String, RawPlugin> {
    let raw = |file| RawPlugin { file: Some(file), ..RawPlugin::default() };
    pairs.into_iter().map(|(name, file)| (name, raw(file))).collect()
}

/// One that is named twice would silently be the last.
fn named_once(pairs: &[(String, PathBuf)]) -> Result<(), ServeError> {
    let mut names = BTreeSet::new();
    match pairs.iter().find(|(name, _)| !names.insert(name)) {
        Some((name, _)) => Err(ServeError::Twice { name: name.clone() }),
        None => Ok(()),
    }
}

fn plugins_of(value: Option<OsString>) -> Result<Vec<(String, PathBuf)>, ServeError> {
    let wrong = |message| ServeError::Environment { name: PLUGINS_OF_ENVIRONMENT, message };
    let text = value.unwrap_or_default().into_string();
    let text = text.map_err(|value| wrong(format!("`{}` is not text", value.display())))?;
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| plugin_pair(pair).map_err(|message| wrong(format!("`{pair}` {message}"))))
        .collect()
}

/// Booleans as the environment has them.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("is not one of: 1 0 true false yes no on off".to_owned()),
    }
}

fn plugin_pair(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        _ => Err("is not NAME=FILE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn raw(arguments: &[&str]) -> RawConfig {
        let line = Line::try_parse_from([&["serve"], arguments].concat()).unwrap();
        line.serve.into_raw()
    }

    #[test]
    fn switch_takes_a_value_or_none_and_overrides_the_file_both_ways() {
        assert_eq!(raw(&[]).evict, None);
        assert_eq!(raw(&["--no-evict", "--check"]).evict, Some(false));
        for (text, is_on) in
            [("1", true), ("on", true), ("Yes", true), ("0", false), ("off", false)]
        {
            let raw = raw(&[&format!("--no-evict={text}"), &format!("--allow-shutdown={text}")]);
            assert_eq!(raw.evict, Some(!is_on), "{text}");
            assert_eq!(raw.memcached.shutdown, Some(is_on), "{text}");
        }
        let file = RawConfig { evict: Some(false), ..RawConfig::default() };
        assert_eq!(file.overlaid_with(raw(&["--no-evict=false"])).evict, Some(true));
    }

    #[test]
    fn memcached_listeners_may_be_several_and_replace_those_of_the_file() {
        let several = raw(&["--memcached", "127.0.0.1:1", "--memcached=notls:[::1]:2,[::1]:3"]);
        let listen = several.memcached.listen.clone().unwrap();
        assert_eq!(listen, ["127.0.0.1:1", "notls:[::1]:2", "[::1]:3"]);
        let mut file = RawConfig::default();
        file.memcached.listen = Some(vec!["127.0.0.1:9".to_owned()]);
        let kept = file.clone().overlaid_with(raw(&[])).memcached.listen.unwrap();
        assert_eq!(kept, ["127.0.0.1:9"]);
        assert_eq!(file.overlaid_with(several).memcached.listen, Some(listen));
    }

    #[test]
    fn switch_with_another_value_names_the_values_there_are() {
        let error = Line::try_parse_from(["serve", "--no-flush=maybe"]).err().unwrap().to_string();
        assert!(error.contains("maybe"), "{error}");
        assert!(error.contains("is not one of: 1 0 true false yes no on off"), "{error}");
    }

    #[test]
    fn comma_in_the_file_of_a_plugin_flag_does_not_split_it() {
        let raw = raw(&["--plugin", "a=/x,b=y.wasm", "--plugin", "c=z.wasm"]);
        let files: Vec<_> = raw.plugins.values().map(|plugin| plugin.file.as_deref()).collect();
        assert_eq!(files, [Some(Path::new("/x,b=y.wasm")), Some(Path::new("z.wasm"))]);
    }

    #[test]
    fn plugins_of_the_environment_are_separated_by_commas() {
        let pairs = plugins_of(Some("a=x.wasm,b=y.wasm".into())).unwrap();
        assert_eq!(pairs, [("a".into(), "x.wasm".into()), ("b".into(), "y.wasm".into())]);
        assert_eq!(plugins_of(None).unwrap(), []);
        let error = plugins_of(Some("a=x.wasm,b".into())).unwrap_err().to_string();
        assert_eq!(error, "WASMCACHED_PLUGIN: `b` is not NAME=FILE");
    }
}
