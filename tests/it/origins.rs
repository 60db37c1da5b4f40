//! Origins as people have them: Python's file server, Django and nginx; what is kept of them, asked
//! about, cut into ranges, and never shared.
//!
//! # Not here
//! nginx in front of items that clients set: `clients`.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use wasmcached_tests::clients::PythonOrigin;
use wasmcached_tests::wait::eventually;
use wasmcached_tests::{Server, http, settings};

fn server_for(origin: &str) -> Server {
    Server::start(&format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n[[sites]]\nname = \"a\"\norigin = \"{origin}\"\n",
        settings::plain()
    ))
}

/// An nginx in the foreground; a dropped one is killed by its id and waited for.
pub(crate) struct Nginx {
    child: Child,
    address: String,
}

impl Nginx {
    /// Serves by these directives. Its address is one that nothing else of the suites uses.
    pub(crate) fn start(folder: &Path, ip: &str, directives: &str) -> Self {
        let free = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
        let (path, address) = (folder.display(), free.to_string());
        let text = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/errors;\n\
             events {{ worker_connections 64; }}\nhttp {{\n access_log off;\n\
             client_body_temp_path {path}/body;\n proxy_temp_path {path}/proxy;\n\
             fastcgi_temp_path {path}/fastcgi;\n uwsgi_temp_path {path}/uwsgi;\n\
             scgi_temp_path {path}/scgi;\n\
             server {{\n listen {address};\n {directives}\n }}\n}}\n"
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let nginx =
            Self { child: command.spawn().expect("nginx; `tests/run` installs it"), address };
        eventually("nginx listens", || TcpStream::connect(&nginx.address).is_ok());
        nginx
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
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
fn files_of_nginx_are_kept_in_each_coding_and_cut_into_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let text = "a line of text\n".repeat(400);
    std::fs::write(folder.path().join("page.html"), &text).unwrap();
    let directives = format!(
        "root {};\n gzip on;\n gzip_vary on;\n gzip_proxied any;\n gzip_http_version 1.0;\n\
         add_header Cache-Control max-age=600;",
        folder.path().display()
    );
    let nginx = Nginx::start(folder.path(), "127.0.9.101", &directives);
    let server = server_for(&nginx.url(""));
    let url = server.page("/page.html");
    for coding in ["identity", "gzip"] {
        let fields = [("accept-encoding", coding)];
        let first = http::send("GET", &url, &fields, b"");
        let second = http::send("GET", &url, &fields, b"");
        assert!(!first.is_hit() && second.is_hit(), "{coding}: {second:?}");
        assert_eq!(first.body, second.body, "{coding}");
        assert_eq!(second.field("vary").to_lowercase(), "accept-encoding");
        let tag = second.field("etag").to_owned();
        let known = [("accept-encoding", coding), ("if-none-match", tag.as_str())];
        assert_eq!(http::send("GET", &url, &known, b"").status, 304, "{coding} {tag}");
    }
    let part = [("accept-encoding", "identity"), ("range", "bytes=2-5")];
    let answer = http::send("GET", &url, &part, b"");
    assert_eq!((answer.status, answer.text().as_str()), (206, &text[2..6]));
    assert!(answer.is_hit(), "{answer:?}");
    assert_eq!(http::get(&server.page("/none")).status, 404);
}

#[test]
fn file_of_nginx_that_changed_is_asked_about_and_comes_anew_after_a_purge() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, "old").unwrap();
    let directives =
        format!("root {};\n add_header Cache-Control no-cache;", folder.path().display());
    let nginx = Nginx::start(folder.path(), "127.0.9.102", &directives);
    let server = server_for(&nginx.url(""));
    let url = server.page("/page.html");
    assert_eq!(http::get(&url).text(), "old");
    let asked = http::get(&url);
    assert_eq!(asked.text(), "old");
    assert!(asked.field("cache-status").contains("fwd-status=304"), "{asked:?}");
    std::fs::write(&file, "newer").unwrap();
    assert_eq!(http::get(&url).text(), "newer");
    assert!(http::get(&url).field("cache-status").contains("fwd-status=304"));
    let purge = http::post_json(&server.api("/v1/invalidate"), &json!({"urls": [url]}));
    assert_eq!(purge.status, 200);
    let fetched = http::get(&url);
    assert!(fetched.field("cache-status").contains("fwd=uri-miss"), "{fetched:?}");
}

#[test]
fn nginx_reads_by_memcached_the_page_that_the_page_cache_filled() {
    let (behind, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(behind.path().join("page.html"), "one memory").unwrap();
    let root = behind.path().display();
    let directives = format!("root {root};\n add_header Cache-Control max-age=600;");
    let origin = Nginx::start(behind.path(), "127.0.9.103", &directives);
    let server = server_for(&origin.url(""));
    let pages = server.address("pages");
    let directives = format!(
        "location / {{\n set $memcached_key http://{pages}$request_uri;\n\
         memcached_pass {};\n default_type text/html;\n error_page 404 = @pages;\n }}\n\
         location @pages {{\n proxy_pass http://{pages};\n proxy_set_header Host {pages};\n\
         add_header X-From pages;\n }}",
        server.address("memcached")
    );
    let front = Nginx::start(before.path(), "127.0.9.104", &directives);
    let url = front.url("/page.html");
    let (first, second) = (http::get(&url), http::get(&url));
    assert_eq!((first.text().as_str(), first.field("x-from")), ("one memory", "pages"));
    assert_eq!((second.text().as_str(), second.field("x-from")), ("one memory", ""));
    let purge = json!({"urls": [server.page("/page.html")]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &purge).status, 200);
    assert_eq!(http::get(&url).field("x-from"), "pages");
}

#[test]
fn files_of_python_are_asked_about_and_come_anew_after_a_purge() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("page.html"), "a page").unwrap();
    let origin = PythonOrigin::start("http_server.py", &[folder.path().to_str().unwrap()]);
    let server = server_for(&origin.url());
    let url = server.page("/page.html");
    let first = http::get(&url);
    assert_eq!((first.status, first.text().as_str()), (200, "a page"));
    let date = first.field("last-modified").to_owned();
    assert_eq!(http::send("GET", &url, &[("if-modified-since", &date)], b"").status, 304);
    std::fs::write(folder.path().join("page.html"), "another page").unwrap();
    let purge = json!({"urls": [url]});
    assert_eq!(http::post_json(&server.api("/v1/invalidate"), &purge).status, 200);
    assert_eq!(http::get(&url).text(), "another page");
    assert_eq!(http::get(&server.page("/none")).status, 404);
}

#[test]
fn views_of_django_are_kept_as_they_say() {
    let origin = PythonOrigin::start("django_site.py", &[]);
    let server = server_for(&origin.url());
    let get =
        |path: &str, fields: &[(&str, &str)]| http::send("GET", &server.page(path), fields, b"");
    let built = get("/kept", &[]).text();
    let again = get("/kept", &[]);
    assert!(again.is_hit() && again.text() == built, "{again:?}");
    for language in ["de", "ne"] {
        let fields = [("accept-language", language)];
        let (first, second) = (get("/language", &fields), get("/language", &fields));
        assert!(first.text().starts_with(&format!("in {language},")), "{first:?}");
        assert!(second.is_hit() && first.body == second.body, "{second:?}");
    }
    let gzip = [("accept-encoding", "gzip")];
    let (first, second) = (get("/long", &gzip), get("/long", &gzip));
    assert!(second.is_hit() && first.body == second.body);
    assert_eq!(second.field("content-encoding"), "gzip");
    let plain = get("/long", &[("accept-encoding", "identity")]);
    assert_eq!((plain.field("content-encoding"), plain.body.len()), ("", 10_000));
    let text = get("/validated", &[]).text();
    let asked = get("/validated", &[]);
    assert_eq!(asked.text(), text, "the view was built again");
    assert!(asked.field("cache-status").contains("fwd-status=304"), "{asked:?}");
    assert_ne!(get("/never", &[]).text(), get("/never", &[]).text());
}

#[test]
fn sessions_and_forms_of_django_are_never_shared() {
    let origin = PythonOrigin::start("django_site.py", &[]);
    let server = server_for(&origin.url());
    for path in ["/session", "/form"] {
        let (first, second) = (http::get(&server.page(path)), http::get(&server.page(path)));
        assert!(!first.is_hit() && !second.is_hit(), "{path}: {second:?}");
        assert!([&first, &second].iter().all(|answer| !answer.field("set-cookie").is_empty()));
        assert_ne!(first.body, second.body, "{path}");
    }
    let url = server.page("/posted");
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(http::send("POST", &url, &[form], b"name=x").status, 403, "no token");
    let page = http::get(&server.page("/form"));
    let text = page.text();
    let token = text.rsplit("value=").next().unwrap().trim_end_matches('>');
    let cookie = page.field("set-cookie").trim().split(';').next().unwrap().to_owned();
    let body = format!("name=x&csrfmiddlewaretoken={token}");
    let sent = http::send("POST", &url, &[form, ("cookie", &cookie)], body.as_bytes());
    assert_eq!((sent.status, sent.text().as_str()), (200, "{\"name\": \"x\"}"));
}
