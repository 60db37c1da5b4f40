//! Limits of the page cache: what is beyond them is answered, and counted.

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::stage::{Stage, get, ok};
use crate::pages::Settings;

#[tokio::test]
async fn a_client_with_as_many_connections_as_it_may_is_told_so_and_counted() {
    let settings = Settings { client_connections_max: Some(1), ..Settings::default() };
    let mut stage = Stage::with(settings, None).await;
    let mut first = stage.client().connect().await;
    first.write_all(get("/", "").as_bytes()).await.unwrap();
    let exchange = stage.asked().await;
    let refused = stage.client().send(get("/", "")).await;
    refused.is(503, "");
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(stage.pages.metrics().refused_connections_of_client.get(), 1);
    exchange.reply(&ok("", "first")).await;
}

#[tokio::test]
async fn more_than_may_wait_for_a_fill_are_told_to_come_again() {
    let settings = Settings { waiters_max: 1, ..Settings::default() };
    let mut stage = Stage::with(settings, None).await;
    let client = stage.client();
    let mut visitors = JoinSet::new();
    visitors.spawn(client.send(get("/", "")));
    let exchange = stage.asked().await;
    visitors.spawn(client.send(get("/", "")));
    stage.until_waiting(1).await;
    let refused = stage.cached(&get("/", "")).await;
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    refused.came("detail=too-many-waiting");
    exchange.reply(&ok("Cache-Control: max-age=60\r\n", "page")).await;
    for reply in visitors.join_all().await {
        reply.is(200, "page");
    }
}

#[tokio::test]
async fn an_answer_with_a_head_beyond_the_limits_is_a_bad_gateway() {
    let settings =
        Settings { origin_fields_max: 10, origin_head_bytes_max: 8 << 10, ..Settings::default() };
    let mut stage = Stage::with(settings, None).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(10_000));
    for fields in ["X-Many: 1\r\n".repeat(11), long] {
        let refused = stage.fetch(&get("/", ""), &ok(&fields, "page")).await;
        assert_eq!(refused.status, 502, "{refused:?}");
        refused.came("detail=origin-head-too-large");
    }
    stage.fetch(&get("/", ""), &ok("", "page")).await.is(200, "page");
}
