//! Pages that are fetched anew because an event asks for it.

use super::stage::{PATIENCE, Stage, get, ok};
use crate::cache::Role;
use crate::model::{Key, Mode, Target};
use crate::pages::Settings;
use crate::pages::background::refresh::REFRESHES_PER_SITE_MAX;

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
    let paths: Vec<String> = (0..=REFRESHES_PER_SITE_MAX).map(|n| format!("/{n}")).collect();
    for path in &paths {
        stage.pages.refresh(&format!("http://a.example{path}"));
    }
    let mut held = Vec::new();
    for _ in 0..REFRESHES_PER_SITE_MAX {
        held.push(stage.asked().await);
    }
    let is_held = |path: &str| held.iter().any(|exchange| exchange.line().contains(path));
    let queued = paths.iter().find(|path| !is_held(path)).unwrap();
    stage.fetch(&get(queued, ""), &ok(FRESH, "one")).await.is(200, "one");
    for exchange in held {
        exchange.reply(&ok(FRESH, "x")).await;
    }
    stage.asked().await.reply(&ok(FRESH, "two")).await;
    stage.until_stored(REFRESHES_PER_SITE_MAX as u64 + 2).await;
    stage.cached(&get(queued, "")).await.is(200, "two");
}

#[tokio::test]
async fn a_site_whose_origin_is_slow_holds_up_no_refresh_of_another() {
    let sites = vec![(Some("a.example"), None), (Some("b.example"), None)];
    let mut stage = Stage::of_sites(Settings::default(), sites).await;
    for n in 0..3 * REFRESHES_PER_SITE_MAX {
        stage.pages.refresh(&format!("http://a.example/{n}"));
    }
    let mut held = Vec::new();
    for _ in 0..REFRESHES_PER_SITE_MAX {
        held.push(stage.asked().await);
    }
    stage.pages.refresh("http://b.example/");
    // None of the first site while so many of it are under way.
    let exchange = stage.asked().await;
    assert_eq!(exchange.field("host"), Some("b.example"));
    exchange.reply(&ok(FRESH, "of b")).await;
    stage.until_stored(1).await;
    for exchange in held {
        assert_eq!(exchange.field("host"), Some("a.example"));
        exchange.reply(&ok(FRESH, "of a")).await;
    }
    for _ in 0..2 * REFRESHES_PER_SITE_MAX {
        stage.asked().await.reply(&ok(FRESH, "of a")).await;
    }
    stage.until_stored(3 * REFRESHES_PER_SITE_MAX as u64 + 1).await;
}

#[tokio::test]
async fn a_page_that_several_events_name_while_it_waits_is_fetched_once_and_after_the_last() {
    let mut stage = Stage::new().await;
    for n in 0..REFRESHES_PER_SITE_MAX {
        stage.pages.refresh(&format!("http://a.example/{n}"));
    }
    let mut held = Vec::new();
    for _ in 0..REFRESHES_PER_SITE_MAX {
        held.push(stage.asked().await);
    }
    for _ in 0..3 {
        stage.purge(Target::Url("http://a.example/p".into()), Mode::Soft).await;
        stage.pages.refresh("http://a.example/p");
    }
    for exchange in held {
        exchange.reply(&ok(FRESH, "x")).await;
    }
    let exchange = stage.asked().await;
    assert_eq!(exchange.line(), "GET /p HTTP/1.1");
    exchange.reply(&ok(FRESH, "new")).await;
    stage.until_stored(REFRESHES_PER_SITE_MAX as u64 + 1).await;
    stage.cached(&get("/p", "")).await.is(200, "new");
    assert_eq!(stage.pages.metrics().refreshes.get(), REFRESHES_PER_SITE_MAX as u64 + 1);
}

/// Without visitors: nobody else would have it fetched.
#[tokio::test]
async fn a_page_that_is_being_filled_when_an_event_names_it_is_fetched_again_after_that() {
    let mut stage = Stage::new().await;
    let (client, request, pages) = (stage.client(), get("/p", ""), stage.pages.clone());
    let key = Key::new(b"http://a.example/p").unwrap();
    let event = async {
        let fill = stage.asked().await;
        stage.purge(Target::Url("http://a.example/p".into()), Mode::Soft).await;
        stage.pages.refresh("http://a.example/p");
        let Role::Waiter(fellow) = pages.shared.fills.join(&key) else { panic!("it is filled") };
        let joining = async {
            while fellow.count() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, joining).await.expect("the refresh waits for the fill");
        fill.reply(&ok(FRESH, "old")).await;
        stage.asked().await.reply(&ok(FRESH, "new")).await;
    };
    tokio::join!(client.send(&request), event).0.is(200, "old");
    stage.until_stored(2).await;
    stage.cached(&get("/p", "")).await.is(200, "new");
    assert_eq!(pages.metrics().refreshes.get(), 1);
}
