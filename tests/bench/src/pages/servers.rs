//! How each page cache is started, in front of the same origin.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Cores;
use crate::cpus::Cpus;
use crate::process::{self, Running};

/// What the servers are called, in the order of their results.
pub(crate) const NAMES: [&str; 4] = ["wasmcached", "nginx", "Varnish", "bare loop"];

/// The programs that are compared.
pub(crate) struct Programs {
    wasmcached: PathBuf,
    nginx: PathBuf,
    varnish: PathBuf,
}

impl Programs {
    /// Finds them.
    ///
    /// # Errors
    /// One is missing.
    pub(crate) fn find() -> anyhow::Result<Self> {
        Ok(Self {
            wasmcached: process::wasmcached()?,
            nginx: process::installed("nginx", "nginx-light", "NGINX_BIN")?,
            varnish: process::installed("varnishd", "varnish", "VARNISHD_BIN")?,
        })
    }

    /// Who they are, for the heading of results.
    pub(crate) fn versions(&self) -> String {
        let [ours, nginx, varnish] =
            [(&self.wasmcached, "--version"), (&self.nginx, "-v"), (&self.varnish, "-V")]
                .map(|(program, flag)| process::version(program, flag));
        format!("{ours}, {nginx}, {varnish}")
    }

    /// Starts wasmcached as the site for any host.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_wasmcached(
        &self,
        cores: &Cores,
        origin: SocketAddr,
    ) -> anyhow::Result<Running> {
        self.start_ours(cores, vec![format!("--origin=http://{origin}")], tempfile::tempdir()?)
    }

    /// Starts wasmcached as the site for any host, with the plugin `rules` for its keys.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_keyed(&self, cores: &Cores, origin: SocketAddr) -> anyhow::Result<Running> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("wasmcached.toml");
        let config = format!(
            "[[sites]]\nname = \"keyed\"\norigin = \"http://{origin}\"\nplugin = \"rules\"\n\
             [plugins.rules.config]\nrules.keys = {{ drop_query = [\"utm_*\"] }}\n"
        );
        std::fs::write(&path, config)?;
        self.start_ours(cores, vec![format!("--config={}", path.display())], dir)
    }

    fn start_ours(
        &self,
        cores: &Cores,
        site: Vec<String>,
        dir: TempDir,
    ) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let mut arguments = vec![
            "serve".to_owned(),
            "--memcached=127.0.0.1:0".to_owned(),
            "--api=127.0.0.1:0".to_owned(),
            format!("--pages={address}"),
            "--memory=1GiB".to_owned(),
            format!("--threads={}", cores.threads()),
        ];
        arguments.extend(site);
        Running::start(&self.wasmcached, &arguments, &cores.server_cpus, address, dir)
    }

    /// Starts nginx with `proxy_cache` on files. Connections to the origin are kept, and those of
    /// clients are not closed after a thousand requests. `tcp_nopush`, which Debian turns on, stays
    /// off: with it the last bytes of pages larger than loopback's packets wait 40 ms.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_nginx(&self, cores: &Cores, origin: SocketAddr) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, nginx_config(dir.path(), cores.threads(), address, origin))?;
        let arguments = [format!("-c{}", path.display()), "-estderr".to_owned()];
        Running::start(&self.nginx, &arguments, &cores.server_cpus, address, dir)
    }

    /// Starts Varnish with its defaults, in a folder of its own.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub(crate) fn start_varnish(
        &self,
        cores: &Cores,
        origin: SocketAddr,
    ) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let dir = tempfile::tempdir()?;
        let workdir = dir.path().join("varnish");
        let arguments = [
            "-F".to_owned(),
            // No other user: it would lose the signal that ends it when the harness dies.
            "-jnone".to_owned(),
            format!("-n{}", workdir.display()),
            format!("-a{address}"),
            format!("-b{origin}"),
            "-smalloc,1g".to_owned(),
        ];
        Running::start(&self.varnish, &arguments, &cores.server_cpus, address, dir)
    }
}

/// Starts the origin on these cores; on those of servers it is the bare loop.
///
/// # Errors
/// Those of [`Running::start`].
pub(crate) fn start_origin(cpus: &Cpus) -> anyhow::Result<Running> {
    let address = process::free_address()?;
    let arguments = ["origin".to_owned(), format!("--listen={address}")];
    Running::start(&std::env::current_exe()?, &arguments, cpus, address, tempfile::tempdir()?)
}

fn nginx_config(dir: &Path, workers: usize, listen: SocketAddr, origin: SocketAddr) -> String {
    let dir = dir.display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary: String =
        kinds.map(|kind| format!("    {kind}_temp_path {dir}/{kind};\n")).concat();
    format!(
        "daemon off;\nuser root;\nworker_processes {workers};\npid {dir}/nginx.pid;\n\
         error_log stderr warn;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         {temporary}    access_log off;\n    sendfile on;\n    \
         keepalive_requests 1000000000;\n    \
         proxy_cache_path {dir}/cache levels=1:2 keys_zone=pages:64m max_size=1g inactive=1h \
         use_temp_path=off;\n    \
         upstream origin {{ server {origin}; keepalive 64; }}\n    \
         server {{\n        listen {listen};\n        location / {{\n            \
         proxy_pass http://origin;\n            proxy_http_version 1.1;\n            \
         proxy_set_header Connection \"\";\n            proxy_set_header Host $host;\n            \
         proxy_cache pages;\n        }}\n    }}\n}}\n"
    )
}
