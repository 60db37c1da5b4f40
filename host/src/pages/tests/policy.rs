//! What a policy decides, and what it can't.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::stage::{Stage, get, ok};
use crate::model::{Input, Key, KeyDecision, RequestView, ResponseView, StoreDecision, Tag};
use crate::pages::{PagePolicy, Settings};

/// Keys by the cookie `tier`, tags by the response field `x-models`.
struct ByTier {
    inputs: Vec<Input>,
}

impl PagePolicy for ByTier {
    fn name(&self) -> &str {
        "by-tier"
    }

    fn mark(&self) -> &str {
        "by-tier"
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String> {
        match (request.path.as_str(), request.inputs.as_slice()) {
            ("/bypass", _) => Ok(KeyDecision::Bypass),
            ("/broken", _) => Err("trap".into()),
            (path, [Some(tier), _]) => {
                Ok(KeyDecision::Custom(Key::new(format!("{path}|{tier}").as_bytes()).unwrap()))
            }
            _ => Ok(KeyDecision::Default),
        }
    }

    fn on_store<'a>(
        &'a self,
        _: &'a Key,
        request: &'a RequestView,
        response: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>> {
        Box::pin(async move {
            if request.path == "/untaggable" {
                return Err("trap".into());
            }
            let models = response.headers.iter().find(|(name, _)| name == "x-models");
            Ok(models.map(|(_, tag)| StoreDecision {
                store: true,
                ttl_s: Some(60),
                tags: vec![Tag::new(tag).unwrap()],
                ..StoreDecision::default()
            }))
        })
    }
}

async fn stage() -> Stage {
    let inputs = vec![Input::Cookie("tier".into()), Input::Header("x-lang".into())];
    Stage::with(Settings::default(), Some(Arc::new(ByTier { inputs }))).await
}

#[tokio::test]
async fn a_policy_keys_and_tags_and_times_a_page() {
    let mut stage = stage().await;
    let gold = get("/", "Cookie: a=b; tier=gold\r\n");
    let reply = stage.fetch(&gold, &ok("X-Models: m1\r\n", "gold")).await;
    reply.is(200, "gold");
    assert_eq!(reply.field("vary"), Some("cookie, x-lang"));
    let other = get("/", "Cookie: tier=gold; session=1\r\n");
    let hit = stage.cached(&other).await;
    hit.is(200, "gold");
    assert_eq!(hit.field("vary"), Some("cookie, x-lang"));
    stage.fetch(&get("/", ""), &ok("X-Models: m1\r\n", "plain")).await.is(200, "plain");
    stage.cached(&get("/", "")).await.is(200, "plain");
    stage.purge_tag("m1").await;
    stage.fetch(&gold, &ok("", "new")).await.is(200, "new");
}

#[tokio::test]
async fn what_a_policy_wants_left_alone_or_fails_about_is_not_stored() {
    let mut stage = stage().await;
    let fresh = "Cache-Control: max-age=60\r\n";
    let rows = [("/bypass", "detail=policy-bypass"), ("/broken", "detail=policy-key-failed")];
    for (path, how) in rows.into_iter().chain([("/untaggable", "fwd=uri-miss")]) {
        for body in ["one", "two"] {
            let reply = stage.fetch(&get(path, ""), &ok(fresh, body)).await;
            reply.is(200, body);
            reply.came(how);
        }
    }
}

#[tokio::test]
async fn a_cookie_beyond_ascii_hides_no_other_from_the_policy() {
    let mut stage = stage().await;
    let fresh = "Cache-Control: max-age=60\r\n";
    let gold = get("/", "Cookie: name=J\u{fc}rgen; tier=gold\r\n");
    stage.fetch(&gold, &ok(fresh, "gold")).await.is(200, "gold");
    stage.fetch(&get("/", ""), &ok(fresh, "plain")).await.is(200, "plain");
    stage.cached(&gold).await.is(200, "gold");
}

#[tokio::test]
async fn what_policy_and_origin_may_read_differently_is_not_looked_up() {
    let mut stage = stage().await;
    let fresh = "Cache-Control: max-age=60\r\n";
    stage.fetch(&get("/", ""), &ok(fresh, "plain")).await.is(200, "plain");
    for body in ["one", "two"] {
        let twice = get("/", "Cookie: tier=gold; tier=none\r\n");
        let reply = stage.fetch(&twice, &ok(fresh, body)).await;
        reply.is(200, body);
        reply.came("fwd=bypass; detail=policy-input-unclear");
    }
    stage.cached(&get("/", "")).await.is(200, "plain");
}

#[tokio::test]
async fn a_page_with_a_field_that_the_policy_can_not_be_shown_is_not_stored() {
    let mut stage = stage().await;
    for body in ["one", "two"] {
        let answer = ok("X-Models: Z?rich\r\nCache-Control: max-age=60\r\n", body);
        // As ISO-8859-1 has it.
        let bytes: Vec<u8> = answer.bytes().map(|b| if b == b'?' { 0xfc } else { b }).collect();
        stage.fetch(&get("/", ""), bytes).await.is(200, body);
    }
}

#[tokio::test]
async fn a_304_makes_no_variants_of_what_the_policy_looks_at() {
    let mut stage = stage().await;
    let fields = "Cache-Control: max-age=10\r\nETag: \"v1\"\r\nVary: X-Own\r\n";
    let ours = |session: &str| get("/", &format!("X-Own: 1\r\nCookie: tier=gold; s={session}\r\n"));
    stage.fetch(&ours("a"), &ok(fields, "gold")).await.is(200, "gold");
    for not_modified in ["", "Vary: X-Own\r\n"] {
        stage.clock.advance(Duration::from_secs(11));
        let not_modified = format!("HTTP/1.1 304 Not Modified\r\n{not_modified}\r\n");
        stage.fetch(&ours("b"), &not_modified).await.is(200, "gold");
        let hit = stage.cached(&ours("c")).await;
        hit.is(200, "gold");
        let lines = hit.head.lines().filter(|line| line.to_lowercase().starts_with("vary:"));
        assert_eq!(lines.collect::<Vec<_>>(), ["vary: X-Own", "vary: cookie, x-lang"]);
    }
    let other = get("/", "X-Own: 2\r\nCookie: tier=gold\r\n");
    stage.fetch(&other, &ok(fields, "other")).await.is(200, "other");
}

#[tokio::test]
async fn a_policy_does_not_store_what_http_forbids() {
    for forbidden in ["private", "max-age=60, x=\"private", "pr\u{ef}vate"] {
        let mut stage = stage().await;
        let fields = format!("X-Models: m1\r\nCache-Control: {forbidden}\r\n");
        for body in ["one", "two"] {
            stage.fetch(&get("/", ""), &ok(&fields, body)).await.is(200, body);
        }
    }
}
