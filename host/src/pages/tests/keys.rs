//! Keys that a policy makes: which purges reach them, and whose pages they are.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::stage::{Stage, get, ok, request};
use crate::model::{
    Input, Key, KeyDecision, Mode, RequestView, ResponseView, StoreDecision, Target,
};
use crate::pages::{PagePolicy, Settings};

const FRESH: &str = "Cache-Control: max-age=60\r\n";

/// Keys by path alone, without the query, and by `x-lang` where it is sent.
struct ByPath {
    name: &'static str,
    inputs: Vec<Input>,
    prefix: &'static str,
}

impl PagePolicy for ByPath {
    fn name(&self) -> &str {
        self.name
    }

    fn mark(&self) -> &str {
        self.name
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn cache_key(&self, request: &RequestView) -> Result<KeyDecision, String> {
        let RequestView { host, path, query, .. } = request;
        let prefix = self.prefix;
        let page = match prefix {
            "" => format!("http://{host}{path}"),
            _ => format!("{prefix}{path}"),
        };
        let lang = request.inputs.iter().flatten().map(|lang| format!("|{lang}"));
        let text = lang.fold(page, |text, lang| text + &lang);
        match (path.as_str(), query.as_deref()) {
            ("/broken", Some("broken")) => Err("trap".into()),
            ("/bypass", Some("bypass")) => Ok(KeyDecision::Bypass),
            _ => Ok(KeyDecision::Custom(Key::new(text.as_bytes()).unwrap())),
        }
    }

    fn on_store<'a>(
        &'a self,
        _: &'a Key,
        _: &'a RequestView,
        _: &'a ResponseView,
    ) -> BoxFuture<'a, Result<Option<StoreDecision>, String>> {
        Box::pin(async { Ok(None) })
    }
}

fn by_path(name: &'static str, prefix: &'static str) -> Option<Arc<dyn PagePolicy>> {
    let inputs = vec![Input::Header("x-lang".into())];
    Some(Arc::new(ByPath { name, inputs, prefix }))
}

async fn stage(prefix: &'static str) -> Stage {
    Stage::with(Settings::default(), by_path("by-path", prefix)).await
}

impl Stage {
    async fn purge_url(&self, url: &str, mode: Mode) {
        for target in self.pages.targets_of_url(url).unwrap() {
            self.purge(target, mode).await;
        }
    }
}

#[tokio::test]
async fn a_purge_by_any_url_of_a_page_reaches_it_whichever_url_filled_it() {
    for prefix in ["", "v1:"] {
        let mut stage = stage(prefix).await;
        let urls = ["http://a.example/p", "https://A.example:443/p?utm_source=y#top"];
        for url in urls.into_iter().chain(["http://a.example/p?utm_source=x"]) {
            stage.fetch(&get("/p?utm_source=x", ""), &ok(FRESH, "old")).await.is(200, "old");
            stage.cached(&get("/p", "")).await.is(200, "old");
            stage.purge_url(url, Mode::Hard).await;
            stage.fetch(&get("/p", ""), &ok(FRESH, "new")).await.is(200, "new");
            stage.purge_url(url, Mode::Hard).await;
        }
    }
}

#[tokio::test]
async fn a_purge_by_url_reaches_the_variants_that_a_policy_makes() {
    let mut stage = stage("").await;
    let german = get("/p?utm_source=x", "X-Lang: de\r\n");
    for target in ["http://a.example/p", "http://a.example/p?utm_source=x"] {
        stage.fetch(&german, &ok(FRESH, "old")).await.is(200, "old");
        stage.cached(&get("/p", "X-Lang: de\r\n")).await.is(200, "old");
        stage.purge_url(target, Mode::Hard).await;
    }
    stage.fetch(&german, &ok(FRESH, "new")).await.is(200, "new");
    stage.purge(Target::Url("http://a.example/p".into()), Mode::Hard).await;
    stage.fetch(&german, &ok(FRESH, "newer")).await.is(200, "newer");
}

#[tokio::test]
async fn a_fill_purged_by_another_url_of_its_page_is_not_stored() {
    for prefix in ["", "v1:"] {
        let mut stage = stage(prefix).await;
        let client = stage.client();
        let (reply, ()) = tokio::join!(client.send(get("/p?a", "")), async {
            let exchange = stage.asked().await;
            stage.purge_url("http://a.example/p?b", Mode::Hard).await;
            exchange.reply(&ok(FRESH, "old")).await;
        });
        reply.is(200, "old");
        stage.fetch(&get("/p", ""), &ok(FRESH, "new")).await.is(200, "new");
    }
}

#[tokio::test]
async fn an_unsafe_request_invalidates_the_page_that_its_url_is_a_name_of() {
    for (prefix, lang) in [("", ""), ("v1:", ""), ("v1:", "X-Lang: de\r\n")] {
        let mut stage = stage(prefix).await;
        for path in ["/p?x=1", "/q?x=1"] {
            stage.fetch(&get(path, lang), &ok(FRESH, "old")).await.is(200, "old");
        }
        let post = request("POST", "/p?x=2", &format!("Content-Length: 0\r\n{lang}"));
        let location = "Content-Location: https://a.example/q?x=2\r\n";
        stage.fetch(&post, &ok(location, "done")).await.is(200, "done");
        for path in ["/p", "/q"] {
            stage.fetch(&get(path, lang), &ok(FRESH, "new")).await.is(200, "new");
        }
    }
}

#[tokio::test]
async fn a_url_that_is_not_looked_up_still_names_its_pages() {
    let stage = stage("").await;
    let targets = stage.pages.targets_of_url("https://a.example/bypass?bypass").unwrap();
    assert_eq!(targets, [Target::Url("http://a.example/bypass?bypass".into())]);
    assert!(stage.pages.targets_of_url("http://a.example/broken?broken").is_err());
    assert!(stage.pages.targets_of_url("/p").is_err());
    let plain = Stage::new().await;
    let targets = plain.pages.targets_of_url("https://A.example/p#top").unwrap();
    assert_eq!(targets, [Target::Url("http://a.example/p".into())]);
}

#[tokio::test]
async fn sites_whose_plugins_make_the_same_key_do_not_serve_each_others_pages() {
    let sites = vec![
        (Some("a.example"), by_path("one", "same:")),
        (Some("b.example"), by_path("one", "same:")),
    ];
    let mut stage = Stage::of_sites(Settings::default(), sites).await;
    let other = get("/p", "").replace("a.example", "b.example");
    stage.fetch(&get("/p", ""), &ok(FRESH, "of a")).await.is(200, "of a");
    stage.fetch(&other, &ok(FRESH, "of b")).await.is(200, "of b");
}

#[tokio::test]
async fn a_purge_of_a_site_reaches_its_pages_whatever_their_keys_and_no_others() {
    let (a, b) = (("a.example", by_path("plugin", "v1:")), ("b.example", None));
    let sites = [a, b].map(|(host, policy)| (Some(host), policy));
    let mut stage = Stage::of_sites(Settings::default(), sites.into()).await;
    let of_b = get("/p", "").replace("a.example", "b.example");
    stage.fetch(&get("/p", "X-Lang: de\r\n"), &ok(FRESH, "old de")).await.is(200, "old de");
    stage.fetch(&get("/q", ""), &ok(FRESH, "old q")).await.is(200, "old q");
    stage.fetch(&of_b, &ok(FRESH, "of b")).await.is(200, "of b");
    stage.purge(Target::Site("a.example".into()), Mode::Hard).await;
    stage.fetch(&get("/p", "X-Lang: de\r\n"), &ok(FRESH, "new de")).await.is(200, "new de");
    stage.fetch(&get("/q", ""), &ok(FRESH, "new q")).await.is(200, "new q");
    stage.cached(&of_b).await.is(200, "of b");
}

#[tokio::test]
async fn a_fill_of_a_site_that_is_purged_meanwhile_is_not_stored() {
    let mut stage = Stage::of_sites(Settings::default(), vec![(Some("a.example"), None)]).await;
    let client = stage.client();
    let (reply, ()) = tokio::join!(client.send(get("/p", "")), async {
        let exchange = stage.asked().await;
        stage.purge(Target::Site("a.example".into()), Mode::Soft).await;
        stage.purge(Target::Site("a.example".into()), Mode::Hard).await;
        exchange.reply(&ok(FRESH, "old")).await;
    });
    reply.is(200, "old");
    stage.fetch(&get("/p", ""), &ok(FRESH, "new")).await.is(200, "new");
}

#[tokio::test]
async fn a_page_that_another_plugin_decided_about_is_not_served() {
    let mut stage = stage("").await;
    stage.fetch(&get("/p", ""), &ok(FRESH, "old")).await.is(200, "old");
    let key = Key::new(b"http://a.example/p").unwrap();
    let (page, _) = stage.cache.find_page(&key, |_| true).await.unwrap();
    let head = page.page().unwrap();
    let site = stage.pages.shared.sites.of("a.example").unwrap();
    assert!(stage.pages.shared.sites.owns(site, site.policy_now().as_deref(), head));
    let other = Stage::with(Settings::default(), by_path("other", "")).await;
    let plain = Stage::new().await;
    for stage in [other, plain] {
        let sites = &stage.pages.shared.sites;
        let site = sites.of("a.example").unwrap();
        assert!(!sites.owns(site, site.policy_now().as_deref(), head));
    }
}
