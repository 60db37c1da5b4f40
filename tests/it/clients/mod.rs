//! Real clients that know nothing of this server. Each script was run against memcached, too.

mod libmemcached;
mod nginx;

use tempfile::TempDir;
use wasmcached_tests::{Server, clients, settings};

/// A user of [`server_with_users`].
const USER: &str = "ada";
const PASSWORD: &str = "correct horse";

fn server() -> Server {
    Server::start(&settings::plain())
}

/// A server that lets in who is in its file; the folder holds that file.
fn server_with_users() -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    std::fs::write(&file, format!("{USER}:{PASSWORD}\n")).unwrap();
    let line = format!("[memcached]\nauth_file = \"{}\"", file.display());
    (Server::start(&settings::plain().replace("[memcached]", &line)), dir)
}

#[test]
fn pymemcache_stores_reads_counts_and_deletes() {
    clients::python("pymemcache_client.py", &[server().address("memcached")]);
}

#[test]
fn python_memcached_stores_reads_counts_and_deletes() {
    clients::python("python_memcached_client.py", &[server().address("memcached")]);
}

#[test]
fn emcache_stores_reads_counts_and_deletes() {
    clients::python("emcache_client.py", &[server().address("memcached")]);
}

#[test]
fn pylibmc_stores_reads_counts_and_deletes_in_text() {
    clients::python("pylibmc_client.py", &[server().address("memcached"), "text"]);
}

#[test]
fn pylibmc_stores_reads_counts_and_deletes_in_binary() {
    clients::python("pylibmc_client.py", &[server().address("memcached"), "binary"]);
}

#[test]
fn pylibmc_logs_in_by_sasl_and_is_refused_with_a_wrong_password() {
    let (server, _users) = server_with_users();
    let arguments = [server.address("memcached"), "binary", USER, PASSWORD];
    clients::python("pylibmc_client.py", &arguments);
}

#[test]
fn meta_memcache_reads_stores_leases_and_serves_stale_by_meta_commands() {
    clients::python("meta_memcache_client.py", &[server().address("memcached")]);
}

#[test]
fn memjs_stores_reads_counts_and_deletes_in_binary() {
    clients::node("memjs_client.js", &[server().address("memcached")]);
}

#[test]
fn memjs_logs_in_by_sasl_and_is_refused_with_a_wrong_password() {
    let (server, _users) = server_with_users();
    clients::node("memjs_client.js", &[server.address("memcached"), USER, PASSWORD]);
}
