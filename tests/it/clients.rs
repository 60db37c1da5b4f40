//! Real clients that know nothing of this server.

use wasmcached_tests::{Server, python, settings};

#[test]
fn pymemcache_stores_reads_counts_and_deletes() {
    let server = Server::start(&settings::plain());
    python::run("pymemcache_client.py", &[server.address("memcached")]);
}
