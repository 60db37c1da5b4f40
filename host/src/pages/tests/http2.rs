//! HTTP/2 by prior knowledge, over the same phases.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::stage::{Stage, ok};

async fn client(stage: &Stage) -> SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(stage.client().connect().await);
    let (sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    stage.pages.shared.tasks.spawn(async {
        // It ends with the test.
        let _ = connection.await;
    });
    sender
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

#[tokio::test]
async fn streams_are_answered_as_requests_are() {
    let mut stage = Stage::new().await;
    let mut client = client(&stage).await;
    let (cold, ()) = tokio::join!(client.send_request(get("http://a.example/p")), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.field("host"), Some("a.example"));
        assert!(exchange.field("via").is_some_and(|via| via.starts_with("2.0 ")));
        let fields = "Cache-Control: max-age=60\r\nKeep-Alive: timeout=5\r\n";
        exchange.reply(&ok(fields, "page")).await;
    });
    let cold = cold.unwrap();
    assert!(!cold.headers().contains_key("keep-alive"));
    assert_eq!(cold.into_body().collect().await.unwrap().to_bytes(), "page");
    let warm = client.send_request(get("http://a.example/p")).await.unwrap();
    assert!(warm.headers()["cache-status"].to_str().unwrap().contains("hit"));
    assert_eq!(warm.into_body().collect().await.unwrap().to_bytes(), "page");
    // One page for both wires.
    stage.cached(&super::stage::get("/p", "")).await.is(200, "page");
}

#[tokio::test]
async fn a_body_reaches_the_origin_and_another_host_is_refused() {
    let mut stage = Stage::new().await;
    let mut client = client(&stage).await;
    let upload = Request::post("http://a.example/").body(Full::from("body")).unwrap();
    let (answer, ()) = tokio::join!(client.send_request(upload), async {
        let exchange = stage.asked().await;
        assert_eq!(exchange.body, "body");
        exchange.reply(&ok("", "done")).await;
    });
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let mut two = get("http://a.example/");
    two.headers_mut().insert("host", "b.example".parse().unwrap());
    assert_eq!(client.send_request(two).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(!stage.is_asked());
}

#[tokio::test]
async fn a_body_that_breaks_off_resets_its_stream() {
    let mut stage = Stage::new().await;
    let mut client = client(&stage).await;
    let (answer, ()) = tokio::join!(client.send_request(get("http://a.example/")), async {
        let mut exchange = stage.asked().await;
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        drop(exchange);
    });
    assert!(answer.unwrap().into_body().collect().await.is_err());
}
