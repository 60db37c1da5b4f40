//! The sample application on its own, over real sockets.

use std::time::Duration;

use axum::body::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Secret, Work, open, serve};
use crate::client::{Answer, Client, percent_encode};
use crate::tasks::Tasks;

/// A received webhook.
type Delivery = (HeaderMap, Value);

struct Running {
    base: String,
    client: Client,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    tasks: Tasks,
    _dir: TempDir,
}

/// The site, and a receiver of its webhooks that answers with `status`.
async fn running(status: StatusCode) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let (sender, deliveries) = mpsc::unbounded_channel();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = receiver.local_addr().unwrap().to_string();
    let route = axum::routing::post(async move |headers: HeaderMap, body: Bytes| {
        sender.send((headers, serde_json::from_slice(&body).unwrap())).unwrap();
        status
    });
    let router = axum::Router::new().route("/v1/events/trekking", route);
    tasks.spawn_until_stop(async move { axum::serve(receiver, router).await.unwrap() });

    let rows = open(dir.path(), Work { page_ms: 1 }).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    serve(listener, rows, (api, Secret::random().unwrap()), &tasks);
    Running { base, client: Client::new(), deliveries, tasks, _dir: dir }
}

impl Running {
    async fn get(&self, path: &str) -> Answer {
        self.client.get(&format!("{}{path}", self.base)).await.unwrap()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        let url = format!("{}{path}", self.base);
        self.client.post_form(&url, form.join("&")).await.unwrap()
    }

    fn event(&mut self) -> Value {
        let (_, body) = self.deliveries.try_recv().unwrap();
        body["data"]["events"][0].clone()
    }

    async fn end(self) {
        assert_eq!(self.tasks.stop(Duration::from_secs(10)).await, 0);
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn saved_photo_is_shown_and_its_event_names_both_treks() {
    let mut site = running(StatusCode::OK).await;
    let fields = [("title", "A bridge, moved"), ("trek", "langtang")];
    let answer = site.post("/admin/photos/6/", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.field("location"), "/admin/photos/6/?cache=acknowledged");
    assert!(text(&site.get("/treks/langtang/").await).contains("A bridge, moved"));
    assert!(!text(&site.get("/treks/manaslu/").await).contains("bridge"));

    let event = site.event();
    assert_eq!(event["model"], "treks.photo");
    assert_eq!(event["pk"], 6);
    assert_eq!(event["op"], "update");
    assert_eq!(event["changed"], json!(["title", "trek"]));
    assert_eq!(event["before"]["trek"], "manaslu");
    assert_eq!(event["after"]["trek"], "langtang");
    site.end().await;
}

#[tokio::test]
async fn webhook_carries_what_standard_webhooks_asks_for() {
    let mut site = running(StatusCode::OK).await;
    site.post("/queue/", &[("author", "Maya"), ("text", "Hello")]).await;
    let (headers, body) = site.deliveries.try_recv().unwrap();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert!(headers.contains_key(name), "{name} is missing");
    }
    assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
    assert_eq!(body["type"], "model.changed");
    assert_eq!(body["data"]["source"], "trekking");
    assert_eq!(body["data"]["events"][0]["model"], "queue.message");
    assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
    site.end().await;
}

#[tokio::test]
async fn visitor_is_told_when_the_cache_does_not_acknowledge() {
    let site = running(StatusCode::SERVICE_UNAVAILABLE).await;
    let answer = site.post("/admin/photos/1/", &[("title", "T"), ("trek", "annapurna")]).await;
    assert_eq!(answer.field("location"), "/admin/photos/1/?cache=unacknowledged");
    let form = site.get("/admin/photos/1/?cache=unacknowledged").await;
    assert!(text(&form).contains("did not acknowledge"));
    site.end().await;
}

#[tokio::test]
async fn visitors_text_stays_text_on_every_page() {
    let site = running(StatusCode::OK).await;
    let hostile = "\"><script>alert('x')</script>";
    site.post("/admin/photos/1/", &[("title", hostile), ("trek", "annapurna")]).await;
    site.post("/queue/", &[("author", hostile), ("text", hostile)]).await;
    for path in ["/", "/treks/annapurna/", "/queue/", "/admin/photos/1/"] {
        let page = text(&site.get(path).await);
        assert!(!page.contains("<script"), "{path}");
        assert!(page.contains("&lt;script&gt;"), "{path}");
    }
    site.end().await;
}

#[tokio::test]
async fn page_may_be_kept_and_is_revalidated_by_its_revision() {
    let site = running(StatusCode::OK).await;
    let page = site.get("/treks/annapurna/").await;
    assert_eq!(page.field("cache-control"), "public, max-age=0, s-maxage=3600");
    let conditional = |etag: &str| {
        Request::get(format!("{}/treks/annapurna/", site.base))
            .header(header::IF_NONE_MATCH, format!("\"other\", {etag}"))
            .body(Full::default())
            .unwrap()
    };
    let etag = page.field("etag");
    let again = site.client.send(conditional(etag)).await.unwrap();
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.body.is_empty());
    site.post("/queue/", &[("author", "Maya"), ("text", "Hello")]).await;
    let after_save = site.client.send(conditional(etag)).await.unwrap();
    assert_eq!(after_save.status, StatusCode::OK);
    assert_eq!(site.get("/admin/photos/1/").await.field("cache-control"), "no-store");
    site.end().await;
}

#[tokio::test]
async fn bad_input_and_unknown_pages_are_refused_and_tell_the_cache_nothing() {
    let mut site = running(StatusCode::OK).await;
    let long = "x".repeat(121);
    for title in ["", "   ", long.as_str()] {
        let answer =
            site.post("/admin/photos/1/", &[("title", title), ("trek", "annapurna")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    for (photo, trek) in [(999, "annapurna"), (1, "nowhere")] {
        let path = format!("/admin/photos/{photo}/");
        let answer = site.post(&path, &[("title", "T"), ("trek", trek)]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(site.get("/treks/nowhere/").await.status, StatusCode::NOT_FOUND);
    assert!(site.deliveries.try_recv().is_err());
    site.end().await;
}

#[tokio::test]
async fn rows_survive_and_are_not_made_twice() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let rows = open(dir.path(), Work { page_ms: 1 }).await.unwrap();
        assert_eq!(rows.treks().await.unwrap().len(), 5);
    }
}
