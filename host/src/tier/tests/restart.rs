//! What a restart brings back, and what it must not.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::cache::Verdict;
use crate::model::Intent;

#[tokio::test]
async fn restart_serves_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("a", "one", &["t"]).await.unwrap();
    server.stop().await;

    let server = start(dir.path()).await;
    let found = server.cache.get(b"a").await.unwrap();
    assert_eq!((found.body(), found.flags()), (&b"one"[..], 7));
    assert_eq!(found.tags(), [Tag::new("t").unwrap()]);
    server.stop().await;
}

#[tokio::test]
async fn what_was_invalidated_does_not_come_back_by_any_target() {
    let targets =
        [tag("t"), Target::Key(named("a")), Target::Prefix(named("a")), Target::Everything];
    for target in targets {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path()).await;
        server.set("a", "one", &["t"]).await.unwrap();
        server.invalidate(target.clone(), Mode::Hard).await.unwrap();
        server.stop().await;

        let server = start(dir.path()).await;
        assert_eq!(server.get("a").await, None, "{target:?}");
        server.set("a", "two", &["t"]).await.unwrap();
        server.stop().await;

        let server = start(dir.path()).await;
        assert_eq!(server.get("a").await.as_deref(), Some("two"), "{target:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn page_invalidated_by_url_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.store_page("p", page_at("http://h/p", "one"));
    server.store_page("q", page_at("http://h/q", "one"));
    server.invalidate(Target::Url("http://h/p".into()), Mode::Hard).await.unwrap();
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.page("p").await, None);
    assert_eq!(server.page("q").await, Some(Verdict::Fresh));
    server.stop().await;
}

#[tokio::test]
async fn page_invalidated_by_site_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.store_page("p", page_at("http://h/p", "one"));
    server.set("item", "stays", &[]).await.unwrap();
    server.stop().await;

    // The page is not in memory when its site is invalidated.
    let server = start(dir.path()).await;
    server.invalidate(Target::Site("blog".into()), Mode::Hard).await.unwrap();
    assert_eq!(server.page("p").await, Some(Verdict::Fresh));
    server.invalidate(Target::Site("shop".into()), Mode::Hard).await.unwrap();
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.page("p").await, None);
    assert_eq!(server.get("item").await.as_deref(), Some("stays"));
    server.stop().await;
}

#[tokio::test]
async fn page_from_before_sites_were_kept_is_not_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.store_page("p", page_at("http://h/p", "one"));
    server.stop().await;
    let mut connection = intruder(dir.path()).await;
    execute(&mut connection, "UPDATE entries SET site = NULL").await;
    drop(connection);

    let server = start(dir.path()).await;
    assert_eq!(server.page("p").await, None, "no purge of its site would name it");
    server.stop().await;
}

#[tokio::test]
async fn softly_purged_page_is_not_fresh_after_a_restart() {
    let targets = [
        tag("pages"),
        Target::Url("http://h/p".into()),
        Target::Site("shop".into()),
        Target::Prefix(named("p")),
        Target::Everything,
        Target::Key(named("p")),
    ];
    for target in targets {
        let dir = tempfile::tempdir().unwrap();
        let server = start(dir.path()).await;
        server.store_page("p", page_at("http://h/p", "one"));
        server.invalidate(target.clone(), Mode::Soft).await.unwrap();
        assert_eq!(server.page("p").await, Some(Verdict::Stale), "{target:?}");
        server.stop().await;

        let server = start(dir.path()).await;
        assert_ne!(server.page("p").await, Some(Verdict::Fresh), "{target:?}");
        assert_eq!(server.get("p").await, None, "{target:?}");
        server.stop().await;
    }
}

#[test]
fn invalidations_acknowledged_before_a_kill_hold_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    };
    // Dropping the runtime ends the writer wherever it stands.
    let first = runtime();
    let server = first.block_on(async {
        let server = start(dir.path()).await;
        for n in 0..20 {
            server.set(&format!("k{n}"), "old", &[&format!("t{n}")]).await.unwrap();
        }
        for n in 0..10 {
            server.invalidate(tag(&format!("t{n}")), Mode::Hard).await.unwrap();
        }
        server
    });
    drop(first);
    drop(server);

    runtime().block_on(async {
        let server = start(dir.path()).await;
        for n in 0..20 {
            let expected = (n >= 10).then_some("old");
            assert_eq!(server.get(&format!("k{n}")).await.as_deref(), expected, "k{n}");
        }
        assert_eq!(events_of(&server).await.len(), 10);
        server.stop().await;
    });
}

#[tokio::test]
async fn value_before_an_overwrite_or_a_removal_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    for n in 0..50 {
        server.set("a", &format!("value {n}"), &[]).await.unwrap();
    }
    server.set("b", "one", &[]).await.unwrap();
    server.delete("b").await;
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.get("a").await.as_deref(), Some("value 49"));
    assert_eq!(server.get("b").await, None);
    server.stop().await;
}

#[tokio::test]
async fn epoch_rises_and_no_number_is_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut last_epoch, mut last_sequence, mut last_cas) = (0, Sequence::ZERO, 0);
    for _ in 0..3 {
        let server = start(dir.path()).await;
        assert!(server.recovered_epoch > last_epoch);
        last_epoch = server.recovered_epoch;
        let applied = server.invalidate(tag("t"), Mode::Hard).await.unwrap();
        assert!(applied.sequence > last_sequence);
        last_sequence = applied.sequence;
        server.set("a", "one", &[]).await.unwrap();
        let cas = server.cache.get(b"a").await.unwrap().cas();
        assert!(cas > last_cas);
        last_cas = cas;
        server.stop().await;
    }
}

#[tokio::test]
async fn page_comes_back_with_its_fields_and_variants() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let language = HeaderName::from_static("accept-language");
    let variant = |value: Option<&'static str>, body: &str| {
        let mut headers = HeaderMap::new();
        headers.append("link", HeaderValue::from_static("</a>"));
        headers.append("link", HeaderValue::from_static("</b>"));
        headers.append("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        let mut content = page_at("http://h/p", body);
        content.expires = Expiry::at_ms(1_800_000_000_000);
        content.kind = Kind::Page(Arc::new(PageHead {
            url: "http://h/p".into(),
            site: "shop".into(),
            status: StatusCode::NOT_FOUND,
            headers,
            vary: vec![(language.clone(), value.map(HeaderValue::from_static))],
            received_ms: 11,
            initial_age_ms: 12,
            lifetime_ms: u64::MAX,
            stale_while_revalidate_ms: 14,
            stale_if_error_ms: 15,
            staleness: crate::model::Staleness::Stated,
            plugin: Some("rules".into()),
            block: std::sync::OnceLock::new(),
        }));
        content
    };
    let written = [variant(Some("fr"), "bonjour"), variant(None, "hello")];
    for content in &written {
        server.store_page("p", content.clone());
    }
    server.stop().await;

    let server = start(dir.path()).await;
    for content in &written {
        let Kind::Page(head) = &content.kind else { unreachable!() };
        let select = |other: &PageHead| other.vary == head.vary;
        let (found, _) = server.cache.find_page(&named("p"), select).await.unwrap();
        assert_eq!(found.body(), content.body);
        assert_eq!(found.expires(), content.expires);
        assert_eq!(format!("{:?}", found.page().unwrap()), format!("{head:?}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn events_of_the_journal_are_read_in_order_and_what_they_named_within_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let targets = [Target::Key(Key::new(b"\xff\x00").unwrap()), tag("t"), Target::Everything];
    for target in &targets {
        server.invalidate(target.clone(), Mode::Soft).await.unwrap();
    }
    let found = events_of(&server).await;
    assert!(found.iter().all(|row| row.invalidation.targets.is_empty()));
    assert_eq!(found[0].invalidation.cause.event_id.as_deref(), Some("e1"));
    let named = async |targets_max| {
        let read = server.tier.read_targets(found.clone(), targets_max).await.unwrap();
        let named = read.iter().map(|row| row.invalidation.targets.as_slice().to_vec());
        named.collect::<Vec<_>>()
    };
    let everything = vec![(Target::Everything, Mode::Hard)];
    let mut expected = targets.map(|target| vec![(target, Mode::Soft)]);
    assert_eq!(named(3).await, expected);
    expected[2] = everything;
    assert_eq!(named(2).await, expected);
    server.stop().await;
}

#[tokio::test]
async fn fence_rows_go_once_no_row_is_older_and_nothing_older_is_written_after() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let early = server.cache.begin_fill(&named("late"));
    server.set("dead", "one", &["t"]).await.unwrap();
    let applied = server.invalidate(tag("t"), Mode::Hard).await.unwrap();
    server.cache.clock().advance(Duration::from_secs(61));
    server.set("live", "one", &[]).await.unwrap();
    eventually("the oldest birth", async || server.tier.oldest_birth() >= applied.sequence).await;
    let mut other = intruder(dir.path()).await;
    eventually("an empty fence", async || {
        count(&mut other, "SELECT count(*) FROM fence").await == 0
    })
    .await;
    assert_eq!(count(&mut other, "SELECT count(*) FROM entries").await, 1);

    // A fill begun before the invalidation, of something else: good for memory, too old for disk.
    server.cache.store_page(&early, page_at("http://h/late", "one")).unwrap();
    assert_eq!(server.get("late").await.as_deref(), Some("one"));
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.get("late").await, None);
    assert_eq!(server.get("dead").await, None);
    assert_eq!(server.get("live").await.as_deref(), Some("one"));
    server.stop().await;
}

#[tokio::test]
async fn expired_rows_are_culled() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut content = page_at("http://h/p", "one");
    content.expires = Expiry::at_ms(server.cache.clock().now_ms() + 1_000);
    server.store_page("p", content);
    server.set("a", "one", &[]).await.unwrap();
    let mut other = intruder(dir.path()).await;
    let rows = "SELECT count(*) FROM entries";
    assert_eq!(count(&mut other, rows).await, 2);
    server.cache.clock().advance(Duration::from_secs(61));
    server.set("a", "two", &[]).await.unwrap();
    // A step under way rests in proportion to the time that it saw go by; a store wakes the writer
    // before that has really passed.
    eventually("the row to go", async || {
        server.cache.clock().advance(Duration::from_secs(61));
        server.set("a", "two", &[]).await.unwrap();
        count(&mut other, rows).await == 1
    })
    .await;
    server.stop().await;
}

/// Readers note what was acknowledged before they began; a memory for two or three entries makes
/// them read the tier most of the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_returns_what_an_acknowledged_write_has_replaced() {
    use std::sync::atomic::{AtomicU64, Ordering};
    const KEYS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let server = Arc::new(start_with_memory(dir.path(), 2_000).await);
    let acknowledged: Arc<[AtomicU64; KEYS]> = Arc::default();
    let mut work = tokio::task::JoinSet::new();
    for n in 0..KEYS {
        let (server, acknowledged) = (Arc::clone(&server), Arc::clone(&acknowledged));
        work.spawn(async move {
            for version in 1..60_u64 {
                server.set(&format!("k{n}"), &version.to_string(), &["t"]).await.unwrap();
                acknowledged[n].store(version, Ordering::Release);
            }
            0
        });
    }
    for seed in 0..6 {
        let (server, acknowledged) = (Arc::clone(&server), Arc::clone(&acknowledged));
        work.spawn(async move {
            let mut hits = 0;
            for step in 0..600_usize {
                let n = (step * 7 + seed) % KEYS;
                let floor = acknowledged[n].load(Ordering::Acquire);
                if let Some(value) = server.get(&format!("k{n}")).await {
                    hits += 1;
                    assert!(value.parse::<u64>().unwrap() >= floor, "k{n}: {value} after {floor}");
                }
            }
            hits
        });
    }
    assert!(work.join_all().await.into_iter().sum::<i32>() > 0);
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test]
async fn page_softly_purged_by_key_is_not_fresh_after_a_restart_when_a_variant_was_added() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.set("x", "", &[]).await.unwrap();
    eventually("the oldest birth", async || server.tier.oldest_birth() > Sequence::ZERO).await;
    server.store_page("p", page_at("http://h/p", "one"));
    server.invalidate(Target::Key(named("p")), Mode::Soft).await.unwrap();
    let mut other = page_at("http://h/p", "two");
    let Kind::Page(head) = &mut other.kind else { unreachable!() };
    Arc::get_mut(head).unwrap().vary = vec![(HeaderName::from_static("accept"), None)];
    server.store_page("p", other);
    server.stop().await;
    let server = start(dir.path()).await;
    let found = server.cache.find_page(&named("p"), |head| head.vary.is_empty()).await;
    assert_ne!(found.map(|(_, verdict)| verdict), Some(Verdict::Fresh));
    server.stop().await;
}

fn naming(targets: &[Target]) -> Invalidation {
    let targets = targets.iter().map(|target| (target.clone(), Mode::Hard)).collect();
    Invalidation { targets, cause: Cause::default() }
}

#[tokio::test]
async fn what_an_intent_has_shut_is_shut_after_a_restart_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let intent = |until_ms| Intent { name: "shop/tx".into(), until_ms };
    // Announced again, it has grown.
    for (until_ms, target) in [(9, tag("t")), (7, Target::Key(named("k")))] {
        server.cache.shut(naming(&[target]), intent(until_ms)).await.unwrap();
    }
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.cache.first_intent(), Some(intent(9)));
    assert!(server.set("a", "one", &["t"]).await.is_err());
    assert!(server.set("k", "one", &[]).await.is_err());
    server.set("a", "one", &["u"]).await.unwrap();
    let targets = server.cache.shut_by("shop/tx").unwrap();
    assert_eq!(targets.len(), 2);
    server.cache.open(naming(&targets), "shop/tx".into()).await.unwrap();
    server.set("k", "two", &["t"]).await.unwrap();
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.cache.first_intent(), None);
    assert_eq!(server.get("k").await.as_deref(), Some("two"));
    server.stop().await;
}

#[tokio::test]
async fn intent_that_is_announced_again_takes_no_more_room_than_all_that_it_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let rounds = [vec!["a", "b"], vec!["b", "c"], vec!["a", "c"], vec!["c", "b", "a"]];
    for (until_ms, names) in rounds.iter().cycle().take(100).enumerate() {
        let targets: Vec<_> = names.iter().copied().map(tag).collect();
        let intent = Intent { name: "shop/tx".into(), until_ms: until_ms as u64 };
        server.cache.shut(naming(&targets), intent).await.unwrap();
    }
    let mut other = intruder(dir.path()).await;
    let all = ["a", "b", "c"].map(tag);
    let bytes = crate::tier::codec::encode_targets(&naming(&all).targets).len() as i64;
    assert_eq!(count(&mut other, "SELECT sum(length(targets)) FROM intents").await, bytes);
    assert!(count(&mut other, "SELECT count(*) FROM intents").await <= 3);
    server.stop().await;

    let server = start(dir.path()).await;
    assert_eq!(server.cache.first_intent().map(|intent| intent.until_ms), Some(99));
    let mut targets = server.cache.shut_by("shop/tx").unwrap();
    targets.sort();
    assert_eq!(targets, all);
    server.cache.open(naming(&targets), "shop/tx".into()).await.unwrap();
    assert_eq!(count(&mut other, "SELECT count(*) FROM intents").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn intent_that_can_not_be_read_shuts_everything() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    server.stop().await;
    let mut other = intruder(dir.path()).await;
    execute(&mut other, "INSERT INTO intents VALUES ('shop/tx', 9, x'ff00')").await;
    drop(other);

    let server = start(dir.path()).await;
    assert!(server.set("a", "one", &[]).await.is_err());
    assert_eq!(server.cache.shut_by("shop/tx"), Some(vec![Target::Everything]));
    server.stop().await;
}
