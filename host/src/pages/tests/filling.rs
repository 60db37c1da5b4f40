//! Fills: shared by those who wait, streamed to the first, finished without it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::stage::{ITEM_BYTES_MAX, Stage, get, ok};

#[tokio::test]
async fn twenty_cold_requests_at_a_time_ask_the_origin_once() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let mut visitors = JoinSet::new();
    for _ in 0..20 {
        visitors.spawn(client.send(get("/", "")));
    }
    let exchange = stage.asked().await;
    stage.until_waiting(19).await;
    exchange.reply(&ok("Cache-Control: max-age=60\r\n", "one")).await;
    let replies = visitors.join_all().await;
    replies.iter().for_each(|reply| reply.is(200, "one"));
    assert!(!stage.is_asked());
    let collapsed =
        replies.iter().filter(|r| r.field("cache-status").unwrap().contains("collapsed"));
    assert_eq!(collapsed.count(), 19);
}

#[tokio::test]
async fn who_waits_is_released_when_the_head_says_it_is_not_to_be_shared() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let mut visitors = JoinSet::new();
    for _ in 0..5 {
        visitors.spawn(client.send(get("/", "")));
    }
    let mut first = stage.asked().await;
    stage.until_waiting(4).await;
    first.write("HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 4\r\n\r\nha").await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(stage.asked().await);
    }
    for other in others {
        other.reply(&ok("Cache-Control: private\r\n", "mine")).await;
    }
    first.reply("lf").await;
    let mut bodies: Vec<_> = visitors.join_all().await.into_iter().map(|r| r.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["half", "mine", "mine", "mine", "mine"]);
}

#[tokio::test]
async fn who_waits_for_another_variant_fetches_its_own() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let mut visitors = JoinSet::new();
    visitors.spawn(client.send(get("/", "Accept-Language: de\r\n")));
    let first = stage.asked().await;
    visitors.spawn(client.send(get("/", "Accept-Language: fr\r\n")));
    stage.until_waiting(1).await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
    first.reply(&ok(fields, "de")).await;
    let second = stage.asked().await;
    assert_eq!(second.field("accept-language"), Some("fr"));
    second.reply(&ok(fields, "fr")).await;
    let mut bodies: Vec<_> = visitors.join_all().await.into_iter().map(|r| r.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["de", "fr"]);
}

#[tokio::test]
async fn who_waits_for_another_variant_does_not_wait_for_the_body_of_the_first() {
    let mut stage = Stage::new().await;
    let client = stage.client();
    let mut visitors = JoinSet::new();
    visitors.spawn(client.send(get("/", "Accept-Language: de\r\n")));
    let mut first = stage.asked().await;
    for _ in 0..3 {
        visitors.spawn(client.send(get("/", "Accept-Language: fr\r\n")));
    }
    stage.until_waiting(3).await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\n");
    first.write(&head).await;
    let second = stage.asked().await;
    assert_eq!(second.field("accept-language"), Some("fr"));
    stage.until_waiting(2).await;
    second.reply(&ok(fields, "fr")).await;
    for _ in 0..3 {
        visitors.join_next().await.unwrap().unwrap().is(200, "fr");
    }
    assert!(!stage.is_asked(), "those of one variant share a fill");
    first.reply("de").await;
    visitors.join_next().await.unwrap().unwrap().is(200, "de");
}

#[tokio::test]
async fn what_was_missed_is_the_url_or_the_variant_or_stale() {
    let mut stage = Stage::new().await;
    let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\nETag: \"1\"\r\n";
    let (german, french) = ("Accept-Language: de\r\n", "Accept-Language: fr\r\n");
    stage.fetch(&get("/", german), &ok(fields, "de")).await.came("fwd=uri-miss; stored");
    stage.fetch(&get("/", french), &ok(fields, "fr")).await.came("fwd=vary-miss; stored");
    stage.clock.advance(std::time::Duration::from_mins(1));
    stage.fetch(&get("/", german), &ok(fields, "neu")).await.came("fwd=stale; stored");
    stage.cached(&get("/", german)).await.came("hit");
}

#[tokio::test]
async fn a_body_reaches_the_client_while_it_is_being_sent() {
    let mut stage = Stage::new().await;
    let mut stream = stage.client().connect().await;
    stream.write_all(get("/", "").as_bytes()).await.unwrap();
    let mut exchange = stage.asked().await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nCache-Control: max-age=60\r\n\r\n";
    exchange.write(&format!("{head}half")).await;
    let mut got = Vec::new();
    while !got.ends_with(b"half") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
    }
    exchange.reply("rest").await;
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got.ends_with(b"halfrest"));
}

#[tokio::test]
async fn a_fill_goes_on_without_its_client() {
    let mut stage = Stage::new().await;
    let mut stream = stage.client().connect().await;
    stream.write_all(get("/", "").as_bytes()).await.unwrap();
    let mut exchange = stage.asked().await;
    drop(stream);
    exchange
        .write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\nCache-Control: max-age=60\r\n\r\n")
        .await;
    exchange.reply("page one").await;
    stage.until_stored(1).await;
    stage.cached(&get("/", "")).await.is(200, "page one");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let mut stage = Stage::new().await;
    let mut idle = stage.client().connect().await;
    idle.write_all(get("/", "").as_bytes()).await.unwrap();
    let exchange = stage.asked().await;
    let client = stage.client();
    let other = client.send(get("/", ""));
    let body = "x".repeat(ITEM_BYTES_MAX);
    let (reply, ()) = tokio::join!(other, async {
        stage.until_waiting(1).await;
        exchange.reply(&ok("Cache-Control: max-age=60\r\n", &body)).await;
    });
    reply.is(200, &body);
    reply.came("collapsed");
}

#[tokio::test]
async fn a_body_over_the_limit_streams_through_unstored() {
    let mut stage = Stage::new().await;
    let piece = "y".repeat(ITEM_BYTES_MAX / 2);
    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n";
    for _ in 0..2 {
        let client = stage.client();
        let (reply, ()) = tokio::join!(client.send(get("/", "")), async {
            let mut exchange = stage.asked().await;
            exchange.write(head).await;
            for _ in 0..40 {
                exchange.write(&chunk).await;
            }
            exchange.reply("0\r\n\r\n").await;
        });
        reply.is(200, &piece.repeat(40));
    }
    let announced = ok("Cache-Control: max-age=60\r\n", &piece.repeat(3));
    for _ in 0..2 {
        let reply = stage.fetch(&get("/large", ""), &announced).await;
        reply.is(200, &piece.repeat(3));
        reply.came("detail=too-large");
    }
}
