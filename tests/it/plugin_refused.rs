//! Versions of plugins that can't be used: refused with the reason, at the start and later.

use std::fs::File;

use serde_json::json;
use wasmcached_tests::components::guest;
use wasmcached_tests::raw::Wire;
use wasmcached_tests::server::serve_to_its_end;
use wasmcached_tests::{http, settings};

use crate::plugin_reload::{Stage, replace, settings_of};

/// Above the largest component.
const HUGE: u64 = 100 * 1024 * 1024;

#[test]
fn component_that_can_not_be_used_is_refused_with_the_reason_and_the_old_one_stays() {
    let stage = Stage::new();
    let first = stage.shown()["sha256"].clone();
    let page = stage.kept("/").text();
    let whole = guest("reload-second");
    let core_module = b"\0asm\x01\0\0\0";
    let rows: [(&[u8], u16, &str); 5] = [
        (b"", 422, "the file is empty"),
        (b"#!/bin/sh", 422, "does not begin like a Wasm file"),
        (core_module, 422, "it is a core module"),
        (&whole[..whole.len() / 2], 422, "not a component"),
        (b"\0asm\x0d\0\x01\0", 422, "does not export wasmcached:plugin/lifecycle"),
    ];
    for (n, (component, status, reason)) in rows.iter().enumerate() {
        let answer = stage.put(component);
        assert_eq!(answer.status, *status, "{}", answer.text());
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(reason), "{error}");
        let shown = stage.shown();
        assert_eq!((&shown["sha256"], &shown["last_error"]), (&first, &json!(error)));
        assert_eq!(shown["refused"], n + 1);
        assert_eq!(stage.kept("/").text(), page);
    }
    let answer = http::send("POST", &stage.server.api("/v1/plugins/reload/rollback"), &[], b"");
    assert_eq!(answer.status, 409, "{}", answer.text());
}

#[test]
fn component_of_100_mb_is_refused_before_it_is_sent_and_when_it_is_a_file() {
    let stage = Stage::new();
    let mut wire = Wire::connect(stage.server.address("api"));
    wire.send(format!(
        "PUT /v1/plugins/reload HTTP/1.1\r\nHost: a\r\nContent-Length: {HUGE}\r\n\r\n"
    ));
    let head = wire.read_head();
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("huge.wasm");
    File::create(&file).unwrap().set_len(HUGE).unwrap();
    let output = serve_to_its_end(&settings_of("http://127.0.0.1:1", &file, ""), &["--check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("plugins.reload: the component is 104857600 bytes; limit is"), "{said}");
}

#[test]
fn unknown_plugin_and_another_version_than_expected_are_told_apart() {
    let stage = Stage::new();
    let second = guest("reload-second");
    let nobody = http::send("PUT", &stage.server.api("/v1/plugins/nobody"), &[], &second);
    assert_eq!(nobody.status, 404);
    assert_eq!(nobody.json()["error"], "plugin `nobody` is not configured; there are: reload");
    let url = stage.server.api("/v1/plugins/reload");
    let first = stage.shown()["sha256"].as_str().unwrap().to_owned();
    let put = |if_match: &str| http::send("PUT", &url, &[("if-match", if_match)], &second).status;
    let other = format!("\"{}\"", "0".repeat(64));
    assert_eq!((put("first"), put(&other)), (400, 412));
    assert_eq!(stage.shown()["sha256"], first.as_str());
    assert_eq!(put(&format!("\"{first}\"")), 200);
    // Nothing is done about what is in use already.
    assert_eq!(stage.put(&second).status, 200);
    assert_eq!(stage.shown()["previous"]["sha256"], first.as_str());
}

const CASES: &str = "[[plugins.reload.smoke]]\nurl = \"http://a.example/list?utm_source=x\"\n\
                     headers = { X-Lang = \"de\" }\nkey = \"page:/list\"\n\
                     [[plugins.reload.smoke]]\nurl = \"http://a.example/\"\n";

#[test]
fn version_that_fails_a_smoke_case_is_refused_at_the_start_and_later() {
    let stage = Stage::with(CASES, |settings| settings);
    let answer = stage.put(&guest("hostile"));
    assert_eq!(answer.status, 422);
    assert_eq!(
        answer.json()["error"],
        "plugin reload: smoke case http://a.example/list?utm_source=x: \
         expected key `page:/list`, not key `fine`"
    );
    assert_eq!(stage.put(&guest("reload-second")).status, 200);
    replace(&stage.file(), &guest("hostile"));
    let settings = settings_of("http://127.0.0.1:1", &stage.file(), CASES);
    let output = serve_to_its_end(&settings, &["--check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("plugins.reload: smoke case http://a.example/list"), "{said}");
}

#[test]
fn smoke_cases_and_files_that_make_no_sense_are_mistakes_of_the_configuration() {
    let more = "watch = true\n[[plugins.reload.smoke]]\nurl = \"ftp://a/\"\n\
                [[plugins.reload.smoke]]\nurl = \"http://a/\"\nkey = \"k\"\nbypass = true\n";
    let shipped = settings::trekking("http://127.0.0.1:1");
    let settings = format!("{shipped}\n[plugins.reload]\n{more}");
    let output = serve_to_its_end(&settings, &["--check"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for mistake in [
        "plugins.reload.watch: `true` needs a `file`",
        "plugins.reload.smoke[0].url: `ftp://a/` is not `http://host/path`",
        "plugins.reload.smoke[1]: a request with a `key` is no `bypass`",
        "plugins.reload: not shipped with the server",
    ] {
        assert!(said.contains(mistake), "{mistake}: {said}");
    }
    let twice = ["--plugin", "a=/x.wasm", "--plugin", "a=/y.wasm", "--check"];
    let output = serve_to_its_end(&settings::plain(), &twice);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("plugin a: named twice"), "{said}");
}
