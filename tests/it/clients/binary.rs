//! Clients that speak the binary protocol, and those that log in by it.

use tempfile::TempDir;
use wasmcached_tests::{Server, clients, settings};

use super::{libmemcached, server};

/// A user of [`server_with_users`].
const USER: &str = "ada";
const PASSWORD: &str = "correct horse";

/// A server that lets in who is in its file; the folder holds that file.
fn server_with_users() -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("users");
    std::fs::write(&file, format!("{USER}:{PASSWORD}\n")).unwrap();
    let line = format!("[memcached]\nauth_file = \"{}\"", file.display());
    (Server::start(&settings::plain().replace("[memcached]", &line)), dir)
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
fn memjs_stores_reads_counts_and_deletes_in_binary() {
    clients::node("memjs_client.js", &[server().address("memcached")]);
}

#[test]
fn memjs_logs_in_by_sasl_and_is_refused_with_a_wrong_password() {
    let (server, _users) = server_with_users();
    clients::node("memjs_client.js", &[server.address("memcached"), USER, PASSWORD]);
}

#[test]
fn memccapable_passes_in_binary_as_with_memcached() {
    libmemcached::passes_what_memcached_passes("-b");
}

#[test]
fn libmemcached_tools_copy_read_touch_and_remove_in_binary() {
    libmemcached::tools_work(&super::server(), &["--binary"]);
}
