//! What may be stored, case by case.

use proptest::prelude::*;

use super::*;
use crate::pages::tests::headers;

/// Where the pages belong.
const AT: Place<'static> = Place { url: "http://a/", site: "a", plugin: None };

const NOW: u64 = 784_111_777_000;
const TIMING: Timing = Timing { requested_ms: NOW, received_ms: NOW };

type Fields = [(&'static str, &'static str)];

fn plan_by(
    rules: &SiteCache,
    status: u16,
    request: &Fields,
    response: &Fields,
) -> Result<Plan, Reason> {
    let status = StatusCode::from_u16(status).unwrap();
    judge(&headers(request), status, &headers(response), TIMING, rules)?.settle(None)
}

fn plan(status: u16, request: &Fields, response: &Fields) -> Result<Plan, Reason> {
    plan_by(&SiteCache::default(), status, request, response)
}

#[test]
fn what_http_forbids_is_not_stored() {
    let fresh = "max-age=60";
    let rows: [(&Fields, &Fields, Reason); 14] = [
        (&[], &[("cache-control", "no-store, max-age=60")], Reason::NoStore),
        (&[], &[("cache-control", "public, max-age=60, x=\"")], Reason::NoStore),
        (&[], &[("cache-control", "private, max-age=60")], Reason::Private),
        (&[], &[("cache-control", "private=\"x\", max-age=60")], Reason::Private),
        (&[], &[("cache-control", "max-age=60"), ("cache-control", "No-Cache")], Reason::NoCache),
        (&[], &[("cache-control", "no-cache=\"set-cookie\", max-age=60")], Reason::NoCache),
        (&[], &[("cache-control", fresh), ("set-cookie", "a=b")], Reason::SetCookie),
        (&[], &[("cache-control", fresh), ("vary", "accept, *")], Reason::VaryAny),
        (&[], &[("cache-control", fresh), ("cache-groups", "a")], Reason::TagInvalid),
        (&[("authorization", "x")], &[("cache-control", fresh)], Reason::Authorization),
        (&[], &[], Reason::NotFresh),
        (&[], &[("etag", "\"a\"")], Reason::NotFresh),
        (&[], &[("cache-control", "max-age=0")], Reason::NotFresh),
        (&[], &[("cache-control", fresh), ("age", "60")], Reason::NotFresh),
    ];
    for (request, response, reason) in rows {
        assert_eq!(plan(200, request, response).unwrap_err(), reason, "{response:?}");
    }
}

#[test]
fn what_must_be_asked_about_each_time_is_stored_if_it_can_be_asked_about() {
    let tag = ("etag", "\"a\"");
    let changed = ("last-modified", "Sun, 06 Nov 1994 07:49:37 GMT");
    let rows: [&Fields; 5] = [
        &[("cache-control", "no-cache, max-age=60"), tag],
        &[("cache-control", "no-cache"), changed],
        &[("cache-control", "no-cache=\"x\", max-age=60"), tag],
        &[("cache-control", "max-age=0"), tag],
        &[("expires", "0"), tag],
    ];
    for response in rows {
        let plan = plan(200, &[], response).unwrap();
        assert!(plan.is_to_be_asked_about(), "{response:?}");
        let head = plan.head(AT, StatusCode::OK, &headers(response), NOW);
        assert!(!head.is_fresh(NOW), "{response:?}");
        assert_eq!(expiry(&head), Expiry::at_ms(NOW + 60_000), "{response:?}");
    }
    let fresh = plan(200, &[], &[("cache-control", "max-age=60"), tag]).unwrap();
    assert!(!fresh.is_to_be_asked_about());
}

#[test]
fn a_page_that_is_stale_already_is_stored_for_a_failure_that_it_counts_with() {
    let aged = ("age", "60");
    let stated = [("cache-control", "max-age=60, stale-if-error=9"), aged];
    assert!(plan(200, &[], &stated).unwrap().is_to_be_asked_about());
    let unstated = [("cache-control", "max-age=60"), aged];
    assert_eq!(plan(200, &[], &unstated).unwrap_err(), Reason::NotFresh);
    let silent = [("cache-control", "stale-if-error=0")];
    assert_eq!(plan(200, &[], &silent).unwrap_err(), Reason::NotFresh);
}

#[test]
fn a_policy_does_not_make_fresh_what_must_be_asked_about() {
    let response = headers(&[("cache-control", "no-cache"), ("etag", "\"a\"")]);
    let terms =
        judge(&HeaderMap::new(), StatusCode::OK, &response, TIMING, &SiteCache::default()).unwrap();
    let ttl = StoreDecision {
        store: true,
        ttl_s: Some(30),
        stale_while_revalidate_s: Some(30),
        stale_if_error_s: Some(30),
        ..StoreDecision::default()
    };
    let plan = terms.settle(Some(ttl)).unwrap();
    assert!(plan.is_to_be_asked_about());
    assert_eq!((plan.stale_if_error_ms, plan.staleness), (0, Staleness::Forbidden));
}

#[test]
fn who_understands_the_status_may_store_what_says_must_understand() {
    let both = [("cache-control", "no-store, must-understand, max-age=60")];
    assert!(plan(200, &[], &both).is_ok());
    assert_eq!(plan(299, &[], &both).unwrap_err(), Reason::NoStore);
    let alone = [("cache-control", "must-understand, max-age=60")];
    assert_eq!(plan(299, &[], &alone).unwrap_err(), Reason::Status);
}

#[test]
fn a_client_keeps_a_page_from_being_stored_only_where_it_is_honoured() {
    let request = [("cache-control", "no-store")];
    let response = [("cache-control", "max-age=60")];
    assert!(plan(200, &request, &response).is_ok());
    let rules = SiteCache { honours_clients: true, ..SiteCache::default() };
    let refused = plan_by(&rules, 200, &request, &response);
    assert_eq!(refused.unwrap_err(), Reason::RequestNoStore);
}

#[test]
fn what_sets_a_cookie_is_stored_whole_or_not_at_all() {
    let response = [("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    let rules = SiteCache { stores_set_cookie: true, ..SiteCache::default() };
    let plan = plan_by(&rules, 200, &[], &response).unwrap();
    let head = plan.head(AT, StatusCode::OK, &headers(&response), NOW);
    assert_eq!(head.headers.get("set-cookie").unwrap(), "a=b");
}

#[test]
fn a_targeted_field_is_the_whole_word() {
    let response = [
        ("cache-control", "no-store"),
        ("expires", "0"),
        ("cdn-cache-control", "max-age=60, must-revalidate"),
    ];
    let plan = plan(200, &[("authorization", "x")], &response).unwrap();
    assert_eq!((plan.lifetime_ms, plan.staleness), (60_000, Staleness::Forbidden));
}

#[test]
fn an_authorized_answer_is_shared_only_if_it_says_so() {
    for allowed in ["public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"] {
        let response = [("cache-control", allowed)];
        assert!(plan(200, &[("authorization", "x")], &response).is_ok(), "{allowed}");
    }
}

#[test]
fn statuses_that_are_not_known_need_freshness_of_their_own() {
    let changed = [("last-modified", "Sun, 06 Nov 1994 07:49:37 GMT")];
    for status in [302, 403, 418, 500, 503, 599] {
        assert!(plan(status, &[], &[("cache-control", "max-age=60")]).is_ok(), "{status}");
        assert_eq!(plan(status, &[], &changed).unwrap_err(), Reason::NotFresh, "{status}");
    }
    for status in [200, 204, 301, 404, 410] {
        assert!(plan(status, &[], &changed).is_ok(), "{status}");
    }
}

#[test]
fn errors_that_an_odd_request_provokes_and_partial_answers_are_never_stored() {
    for status in [206, 304, 400, 408, 412, 413, 416, 421, 425, 428, 429, 431, 511] {
        let found = plan(status, &[], &[("cache-control", "public, max-age=60")]);
        assert_eq!(found.unwrap_err(), Reason::Status, "{status}");
    }
}

#[test]
fn a_guess_is_not_made_about_a_visitor_with_a_cookie() {
    let changed = [("last-modified", "Sun, 06 Nov 1994 07:49:37 GMT")];
    assert!(plan(200, &[], &changed).is_ok());
    let found = plan(200, &[("cookie", "a=b")], &changed);
    assert_eq!(found.unwrap_err(), Reason::GuessWithCookie);
}

#[test]
fn a_page_is_kept_for_as_long_as_it_is_good_for_something() {
    let rows: [(&Fields, u64); 7] = [
        (&[("cache-control", "max-age=10, must-revalidate")], 10_000),
        (&[("cache-control", "s-maxage=10")], 10_000),
        (&[("cache-control", "max-age=10")], 70_000),
        (&[("cache-control", "max-age=10, must-revalidate"), ("etag", "\"a\"")], 70_000),
        (&[("cache-control", "max-age=10, stale-while-revalidate=90")], 100_000),
        (&[("cache-control", "max-age=10, stale-if-error=5")], 15_000),
        (&[("cache-control", "max-age=10, stale-while-revalidate=90, must-revalidate")], 10_000),
    ];
    for (response, wanted_ms) in rows {
        let plan = plan(200, &[], response).unwrap();
        let head = plan.head(AT, StatusCode::OK, &headers(response), NOW);
        assert_eq!(expiry(&head), Expiry::at_ms(NOW + wanted_ms), "{response:?}");
    }
}

#[test]
fn directives_say_whether_a_page_may_be_stale() {
    let windows = |line: &'static str| {
        let plan = plan(200, &[], &[("cache-control", line), ("etag", "\"a\"")]).unwrap();
        (plan.staleness, plan.stale_while_revalidate_ms, plan.stale_if_error_ms)
    };
    let stated = "stale-while-revalidate=3, stale-if-error=4";
    assert_eq!(windows("max-age=1"), (Staleness::Allowed, 0, 60_000));
    assert_eq!(windows("max-age=1, stale-if-error=4"), (Staleness::Allowed, 0, 4_000));
    assert_eq!(windows("s-maxage=1"), (Staleness::Stated, 0, 0));
    let shared = format!("s-maxage=1, {stated}").leak();
    assert_eq!(windows(shared), (Staleness::Stated, 3_000, 4_000));
    for forbidding in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let line = format!("max-age=1, {forbidding}, {stated}").leak();
        assert_eq!(windows(line), (Staleness::Forbidden, 0, 0), "{forbidding}");
    }
}

#[test]
fn a_policy_sets_time_and_tags_within_what_http_allows() {
    let decision = StoreDecision {
        store: true,
        ttl_s: Some(30),
        stale_while_revalidate_s: Some(5),
        tags: vec![Tag::new("b").unwrap()],
        ..StoreDecision::default()
    };
    let response = headers(&[("xkey", "a b"), ("age", "7")]);
    let terms =
        judge(&HeaderMap::new(), StatusCode::OK, &response, TIMING, &SiteCache::default()).unwrap();
    let plan = terms.clone().settle(Some(decision)).unwrap();
    assert_eq!(plan.tags, [Tag::new("a").unwrap(), Tag::new("b").unwrap()]);
    let head = plan.head(Place { plugin: Some("p"), ..AT }, StatusCode::OK, &response, NOW);
    assert!(head.is_fresh(NOW + 29_999) && !head.is_fresh(NOW + 30_000));
    assert_eq!(head.stale_while_revalidate_ms, 5_000);
    let refused = terms.settle(Some(StoreDecision::default()));
    assert_eq!(refused.unwrap_err(), Reason::PolicyNoStore);
}

#[test]
fn a_stored_head_has_all_fields_but_age_in_their_order() {
    let response = headers(&[("link", "a"), ("age", "1"), ("link", "b"), ("etag", "\"x\"")]);
    let copy = compact(&response);
    assert_eq!(copy.get_all("link").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(copy.get("etag").unwrap(), "\"x\"");
    assert!(!copy.contains_key(AGE));
}

#[test]
fn a_body_without_length_or_chunks_ends_with_the_connection() {
    let of = |fields: &Fields| Framing::of(StatusCode::OK, &headers(fields));
    assert_eq!(of(&[]), Framing::Close);
    assert_eq!(of(&[("content-length", "5")]), Framing::Length(5));
    assert_eq!(of(&[("content-length", "5"), ("transfer-encoding", "chunked")]), Framing::Chunked);
    assert_eq!(Framing::of(StatusCode::NO_CONTENT, &HeaderMap::new()), Framing::Length(0));
}

proptest! {
    #[test]
    fn whatever_an_origin_writes_is_judged(
        status in 100..600_u16,
        fields in proptest::collection::vec(
            (
                prop::sample::select(vec![
                    "age", "date", "expires", "etag", "vary", "cache-control", "last-modified",
                    "cdn-cache-control", "cache-groups", "content-length",
                ]),
                "[ -~]{0,24}|max-age=[0-9]{1,30}|[0-9]{1,30}|Sun, 06 Nov [0-9]{4} 08:49:37 GMT",
            ),
            0..6,
        ),
    ) {
        let mut response = HeaderMap::new();
        for (name, value) in fields {
            response.append(name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let rules = SiteCache { default_ttl_ms: Some(1_000), ..SiteCache::default() };
        let terms = judge(&HeaderMap::new(), status, &response, TIMING, &rules);
        if let Ok(plan) = terms.and_then(|terms| terms.settle(None)) {
            let head = plan.head(AT, status, &response, NOW);
            // A page is fresh for no longer than the largest number of seconds.
            prop_assert!(!head.is_fresh(NOW + (1 << 31) * 1000));
            prop_assert!(expiry(&head).as_ms().is_some_and(|ms| ms >= NOW));
        }
    }
}
