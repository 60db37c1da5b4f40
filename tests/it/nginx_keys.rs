//! nginx in front, by the recipe of many sites: it reads pages from the memcached port, and asks
//! the page cache for those that are not there. The plugin `nginx-keys` keeps them where it looks.

use serde_json::json;
use tempfile::TempDir;
use wasmcached_tests::origin::{Request, Response};
use wasmcached_tests::{Answer, Origin, Server, Webhook, http, settings};

use crate::origins::Nginx;

const PLUGIN: &str = r#"
[plugins.nginx-keys]
limits = { key_timeout = "1s", store_timeout = "10s" }
[plugins.nginx-keys.config]
prefix = "/your-site-name-"
host = "www.example.org"
ignore = ["/admin*"]
events = [{ model = "treks.photo", uris = ["/treks/{both.trek}/", "/"] }]
"#;

/// nginx, the server behind it, and the application behind that.
struct Site {
    origin: Origin,
    server: Server,
    front: Nginx,
    _folder: TempDir,
}

fn answer(request: &Request) -> Response {
    let text = format!("page {}", request.target);
    match request.target.ends_with(".css") {
        true => Response::cacheable(text).with("content-type", "text/css"),
        false => Response::cacheable(text).with("content-type", "text/html; charset=utf-8"),
    }
}

impl Site {
    fn behind(ip: &str) -> Self {
        let origin = Origin::start(answer);
        let shipped = settings::trekking(&origin.url());
        let shipped = shipped.replace("plugin = \"trekking\"", "plugin = \"nginx-keys\"");
        let server = Server::start(&shipped.replace("[plugins.trekking]\n", PLUGIN));
        let folder = tempfile::tempdir().unwrap();
        let directives = format!(
            "location / {{\n error_page 404 405 418 502 504 = @pages;\n\
             if ($args) {{ return 418; }}\n\
             set $memcached_key \"/your-site-name-$uri\";\n memcached_pass {};\n\
             default_type text/html;\n }}\n\
             location @pages {{\n proxy_pass http://{};\n\
             proxy_set_header Host www.example.org;\n add_header X-From pages;\n }}",
            server.address("memcached"),
            server.address("pages"),
        );
        let front = Nginx::start(folder.path(), ip, &directives);
        Self { origin, server, front, _folder: folder }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        let answer = http::get(&self.front.url(path));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    }

    /// Who answered: `pages`, or nginx itself from memory.
    #[track_caller]
    fn answerer(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.text(), format!("page {path}"));
        match answer.field("x-from") {
            "" => {
                assert!(answer.field("content-type").starts_with("text/html"), "{answer:?}");
                "memory".to_owned()
            }
            from => from.to_owned(),
        }
    }

    #[track_caller]
    fn saved(&self, photo_before: serde_json::Value, photo_after: serde_json::Value) {
        let event = Webhook::change("treks.photo", photo_before, photo_after);
        assert_eq!(event.post(&self.server).status, 200);
    }
}

#[test]
fn nginx_serves_by_memcached_pass_what_the_page_cache_filled_until_an_event_ends_it() {
    let site = Site::behind("127.0.9.105");
    let pages = ["/", "/treks/annapurna/", "/treks/langtang/", "/treks/on%20top/", "/caf%C3%A9/"];
    for path in pages {
        assert_eq!(site.answerer(path), "pages", "{path}");
        assert_eq!(site.answerer(path), "memory", "{path}");
        assert_eq!(site.origin.count(path), 1, "{path}");
    }
    let moved = (json!({"trek": "annapurna"}), json!({"trek": "on top"}));
    site.saved(moved.0, moved.1);
    let answerers = pages.map(|path| site.answerer(path));
    assert_eq!(answerers, ["pages", "pages", "memory", "pages", "memory"]);
    assert_eq!(pages.map(|path| site.answerer(path)), ["memory"; 5]);
}

#[test]
fn pages_with_queries_ignored_paths_and_other_types_are_never_read_by_nginx() {
    let site = Site::behind("127.0.9.106");
    for path in ["/treks/?page=2", "/admin/", "/style.css", "/%74reks/"] {
        for _ in 0..3 {
            assert_eq!(site.answerer(path), "pages", "{path}");
        }
    }
    // They are not what nginx would take for the page without a query, and end with it.
    assert_eq!(site.origin.count("/treks/?page=2"), 1, "kept by the page cache");
    assert_eq!(site.origin.count("/admin/"), 3);
    assert_eq!(site.answerer("/treks/"), "pages");
    assert_eq!(site.answerer("/treks/"), "memory");
    assert_eq!(site.answerer("/?utm_source=x"), "pages");
    site.saved(json!({"trek": "k2"}), json!({"trek": "k2"}));
    assert_eq!(site.answerer("/?utm_source=x"), "pages");
    assert_eq!(site.origin.count("/?utm_source=x"), 2, "the home page with a query was kept");
}

#[test]
fn what_the_application_stored_under_the_key_is_served_and_ended_too() {
    let site = Site::behind("127.0.9.107");
    let mut memcached = site.server.memcached();
    let (key, value) = ("/your-site-name-/treks/k2/", "page /treks/k2/");
    assert_eq!(memcached.set(key, value), "STORED");
    assert_eq!(site.answerer("/treks/k2/"), "memory");
    assert_eq!(site.origin.count("/treks/k2/"), 0);
    site.saved(json!({"trek": "k2"}), json!({"trek": "k2"}));
    assert_eq!(memcached.get(key), None);
    assert_eq!(site.answerer("/treks/k2/"), "pages");
    // An event that does not say of which trek ends every page of the site.
    assert_eq!(site.answerer("/treks/g1/"), "pages");
    assert_eq!(memcached.set("/your-site-name-/hand/", "page /hand/"), "STORED");
    site.saved(json!({}), json!({}));
    assert_eq!(memcached.get("/your-site-name-/hand/"), None);
    assert_eq!(site.answerer("/treks/g1/"), "pages");
}

#[test]
fn post_goes_to_the_application() {
    let site = Site::behind("127.0.9.108");
    assert_eq!(site.answerer("/treks/k2/"), "pages");
    let posted = http::send("POST", &site.front.url("/treks/k2/"), &[], b"a=b");
    assert_eq!((posted.status, posted.field("x-from")), (200, "pages"));
    assert_eq!(site.origin.count("/treks/k2/"), 2);
}
