//! Pages that are fetched anew because an event asks for it.

use super::stage::{Stage, get, ok};
use crate::model::{Mode, Target};
use crate::pages::REFRESHES_MAX;

const FRESH: &str = "Cache-Control: max-age=60\r\n";

#[tokio::test]
async fn a_page_that_is_refreshed_is_fetched_once_and_served_from_memory() {
    for url in ["http://a.example/p?q", "https://A.example/p?q#top"] {
        let mut stage = Stage::new().await;
        stage.pages.refresh(url);
        let exchange = stage.asked().await;
        assert_eq!(
            (exchange.line(), exchange.field("host")),
            ("GET /p?q HTTP/1.1", Some("a.example"))
        );
        exchange.reply(&ok(FRESH, "one")).await;
        stage.until_stored(1).await;
        for _ in 0..2 {
            stage.cached(&get("/p?q", "")).await.is(200, "one");
        }
    }
}

#[tokio::test]
async fn a_refresh_replaces_what_an_event_made_stale() {
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok(FRESH, "old")).await.is(200, "old");
    stage.purge(Target::Url("http://a.example/".into()), Mode::Soft).await;
    stage.pages.refresh("http://a.example/");
    stage.asked().await.reply(&ok(FRESH, "new")).await;
    stage.until_stored(2).await;
    stage.cached(&get("/", "")).await.is(200, "new");
}

#[tokio::test]
async fn who_misses_a_page_does_not_wait_for_the_turn_of_its_refresh() {
    let mut stage = Stage::new().await;
    let paths: Vec<String> = (0..=REFRESHES_MAX).map(|n| format!("/{n}")).collect();
    for path in &paths {
        stage.pages.refresh(&format!("http://a.example{path}"));
    }
    let mut held = Vec::new();
    for _ in 0..REFRESHES_MAX {
        held.push(stage.asked().await);
    }
    let is_held = |path: &str| held.iter().any(|exchange| exchange.line().contains(path));
    let queued = paths.iter().find(|path| !is_held(path)).unwrap();
    stage.fetch(&get(queued, ""), &ok(FRESH, "one")).await.is(200, "one");
    for exchange in held {
        exchange.reply(&ok(FRESH, "x")).await;
    }
    stage.asked().await.reply(&ok(FRESH, "two")).await;
    stage.until_stored(REFRESHES_MAX as u64 + 2).await;
    stage.cached(&get(queued, "")).await.is(200, "two");
}
