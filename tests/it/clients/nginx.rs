//! nginx, which reads pages from a memcached server (`ngx_http_memcached_module`).

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use wasmcached_tests::wait::{LIMIT, eventually};

/// An nginx in the foreground; a dropped one is killed by its id and waited for.
struct Nginx {
    child: Child,
    dir: TempDir,
}

impl Nginx {
    /// Serves every path from the key of that name, at a unix socket.
    fn in_front_of(memcached: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/errors;\n\
             events {{ worker_connections 64; }}\n\
             http {{\n access_log off;\n\
             client_body_temp_path {path}/body;\n proxy_temp_path {path}/proxy;\n\
             fastcgi_temp_path {path}/fastcgi;\n uwsgi_temp_path {path}/uwsgi;\n\
             scgi_temp_path {path}/scgi;\n\
             server {{\n listen unix:{path}/socket;\n location / {{\n\
             set $memcached_key $uri;\n memcached_pass {memcached};\n default_type text/html;\n\
             }}\n }}\n}}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let errors = File::create(dir.path().join("said")).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("nginx; `tests/run` installs it");
        let nginx = Self { child, dir };
        eventually("nginx listens", || UnixStream::connect(nginx.socket()).is_ok());
        nginx
    }

    fn socket(&self) -> PathBuf {
        Path::new(self.dir.path()).join("socket")
    }

    /// The whole response, head and body.
    fn get(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nginx_serves_what_was_set_and_nothing_that_was_deleted() {
    let server = super::server();
    let nginx = Nginx::in_front_of(server.address("memcached"));
    let mut client = server.memcached();
    assert_eq!(client.set("/greeting", "<p>hello</p>"), "STORED");
    let response = nginx.get("/greeting");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\n<p>hello</p>"), "{response}");
    assert_eq!(client.ask("delete /greeting"), "DELETED");
    let response = nginx.get("/greeting");
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
}
