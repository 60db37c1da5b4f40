//! What may be stored, case by case.

use super::*;

const NOW: u64 = 784_111_777_000;
const TIMING: Timing = Timing { requested_ms: NOW, received_ms: NOW };

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

type Fields = [(&'static str, &'static str)];

fn plan(status: u16, request: &Fields, response: &Fields) -> Result<Plan, Reason> {
    let status = StatusCode::from_u16(status).unwrap();
    judge(&headers(request), status, &headers(response), TIMING)?.settle(None)
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
        (&[("cache-control", "no-store")], &[("cache-control", fresh)], Reason::RequestNoStore),
        (&[], &[], Reason::NotFresh),
        (&[], &[("cache-control", "max-age=0")], Reason::NotFresh),
        (&[], &[("cache-control", fresh), ("age", "60")], Reason::NotFresh),
    ];
    for (request, response, reason) in rows {
        assert_eq!(plan(200, request, response).unwrap_err(), reason, "{response:?}");
    }
}

#[test]
fn an_authorized_answer_is_shared_only_if_it_says_so() {
    for allowed in ["public, max-age=60", "s-maxage=60", "must-revalidate, max-age=60"] {
        let response = [("cache-control", allowed)];
        assert!(plan(200, &[("authorization", "x")], &response).is_ok(), "{allowed}");
    }
}

#[test]
fn only_statuses_that_are_understood_are_stored() {
    for status in [206, 304, 400, 401, 413, 418, 431, 500, 502, 503, 599] {
        let found = plan(status, &[], &[("cache-control", "public, max-age=60")]);
        assert_eq!(found.unwrap_err(), Reason::Status, "{status}");
    }
    for status in [200, 204, 301, 302, 404, 410] {
        assert!(plan(status, &[], &[("cache-control", "max-age=60")]).is_ok(), "{status}");
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
fn a_page_is_kept_for_validation_only_if_it_has_a_validator() {
    let rows: [(&Fields, u64); 4] = [
        (&[("cache-control", "max-age=10")], 10_000),
        (&[("cache-control", "max-age=10"), ("etag", "\"a\"")], 70_000),
        (&[("cache-control", "max-age=10, stale-while-revalidate=90")], 100_000),
        (&[("cache-control", "max-age=10, stale-while-revalidate=90, must-revalidate")], 10_000),
    ];
    for (response, wanted_ms) in rows {
        let plan = plan(200, &[], response).unwrap();
        let head = plan.head("http://a/", StatusCode::OK, &headers(response), NOW, None);
        assert_eq!(expiry(&head), Expiry::at_ms(NOW + wanted_ms), "{response:?}");
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
    let terms = judge(&HeaderMap::new(), StatusCode::OK, &response, TIMING).unwrap();
    let plan = terms.clone().settle(Some(decision)).unwrap();
    assert_eq!(plan.tags, [Tag::new("a").unwrap(), Tag::new("b").unwrap()]);
    let head = plan.head("http://a/", StatusCode::OK, &response, NOW, Some("p"));
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
