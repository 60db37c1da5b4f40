//! Real clients that know nothing of this server. Each script was run against memcached, too.

mod binary;
mod libmemcached;
mod listing;
mod nginx;

use wasmcached_tests::{Server, clients, settings};

fn server() -> Server {
    Server::start(&settings::plain())
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
fn meta_memcache_reads_stores_leases_and_serves_stale_by_meta_commands() {
    clients::python("meta_memcache_client.py", &[server().address("memcached")]);
}
