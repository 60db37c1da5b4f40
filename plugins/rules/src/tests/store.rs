//! What pages and items carry.

use super::*;

#[test]
fn every_store_rule_that_fits_adds_its_tags_and_the_first_time_holds() {
    let plugin = rules(
        r#"{"store":[{"path":"/treks/*","status":200,"ttl_s":300,"tags":["trek:{path.1}"]},
                     {"ttl_s":9,"tags":["site","site"]}]}"#,
    );
    let page =
        |path: &str, status| storage(&plugin, &get(&format!("https://s{path}")), &response(status));
    assert_eq!(page("/treks/k2/", 200), Storage::ttl(300).tag("trek:k2").tag("site"));
    assert_eq!(page("/treks/", 200), Storage::ttl(300).tag("site"));
    assert_eq!(page("/treks/k2/", 404), Storage::ttl(9).tag("site"));
}

#[test]
fn pages_are_chosen_by_status_content_type_and_host() {
    let plugin = rules(
        r#"{"store":[{"status":[404,"5xx"],"tags":["error"]},
                     {"content_type":["text/*","application/json"],"tags":["text"]},
                     {"host":"a.example","tags":["at:{host}"]}]}"#,
    );
    let tags = |url: &str, status, kind: &str| {
        let page = storage(&plugin, &get(url), &response(status).header("content-type", kind));
        format!("{page:?}").split("tags: ").nth(1).expect("tags").to_owned()
    };
    assert_eq!(tags("https://s/", 404, "image/png"), "[\"error\"] }");
    assert_eq!(tags("https://s/", 503, "TEXT/html ; charset=x"), "[\"error\", \"text\"] }");
    assert_eq!(tags("https://a.example:8/", 200, "application/json"), {
        "[\"text\", \"at:a.example:8\"] }"
    });
    assert_eq!(tags("https://s/", 403, ""), "[] }");
}

#[test]
fn one_rule_against_storing_is_enough() {
    let plugin = rules(r#"{"store":[{"ttl_s":60},{"path":"/cart*","store":false}]}"#);
    let page = |url: &str| storage(&plugin, &get(url), &response(200));
    assert_eq!(page("https://s/cart/1"), Storage::skip());
    assert_eq!(page("https://s/car"), Storage::ttl(60));
}

#[test]
fn windows_of_staleness_hold_by_the_first_rule_that_names_them() {
    let plugin = rules(
        r#"{"store":[{"stale_if_error_s":0},
                     {"stale_if_error_s":9,"stale_while_revalidate_s":5}]}"#,
    );
    let expected = Storage::keep().stale_while_revalidate(5).stale_if_error(0);
    assert_eq!(storage(&plugin, &get("https://s/"), &response(200)), expected);
}

#[test]
fn items_with_a_prefix_get_tags_and_time() {
    let plugin = rules(
        r#"{"items":[{"prefix":"frag:","ttl_s":60,"tags":["fragments","part:{rest}"]},
                     {"prefix":"frag:now:","store":false}]}"#,
    );
    assert_eq!(plugin.item_prefixes(), ["frag:", "frag:now:"]);
    let of = |key: &str| plugin.on_item(&item(key, 0, 3)).expect("an answer");
    assert_eq!(of("frag:1"), Storage::ttl(60).tag("fragments").tag("part:1"));
    assert_eq!(of("frag:"), Storage::ttl(60).tag("fragments"));
    assert_eq!(of("frag:now:1"), Storage::skip());
    assert_eq!(of("other:1"), Storage::keep());
}
