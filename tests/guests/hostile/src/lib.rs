//! A plugin that does what plugins must not do, one thing per mode, for the tests of the host.
//!
//! # Invariants
//! - Without a mode it behaves.
//!
//! # Not here
//! Anything that ships.
#![allow(clippy::print_stdout, reason = "what a guest prints is under test too")]

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use wasmcached_plugin::prelude::*;

#[derive(Default)]
struct Hostile {
    mode: String,
    prefix: String,
    calls: Cell<u32>,
}

#[plugin(name = "hostile", key_epoch = 7, pure = false)]
impl Plugin for Hostile {
    fn configure(&mut self, config: &[(String, String)]) -> Result<()> {
        for (name, value) in config {
            match name.as_str() {
                "mode" => self.mode.clone_from(value),
                "prefix" => self.prefix.clone_from(value),
                _ => return Err(Error::new(format!("unknown setting `{name}`"))),
            }
        }
        match self.mode.as_str() {
            "refuse-configuration" => Err(Error::new("this configuration is refused")),
            "trap-in-configure" => panic!("as configured"),
            _ => Ok(()),
        }
    }

    fn inputs(&self) -> Vec<Input> {
        match self.mode.as_str() {
            "bad-input" => vec![Input::Header("two words".to_owned())],
            _ => vec![Input::Header("x-mode".to_owned())],
        }
    }

    fn item_prefixes(&self) -> Vec<String> {
        vec![self.prefix.clone()].into_iter().filter(|prefix| !prefix.is_empty()).collect()
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        match request.header("x-mode").unwrap_or(&self.mode) {
            "huge-return" => Ok(Key::exactly("k".repeat(1 << 20))),
            "count" => {
                self.calls.set(self.calls.get() + 1);
                Ok(Key::exactly(self.calls.get().to_string()))
            }
            "empty" => Ok(Key::exactly("")),
            "print" => {
                println!("a line on standard output");
                eprintln!("a line on standard error");
                Ok(Key::exactly("printed"))
            }
            "environment" => Ok(Key::exactly(format!(
                "{}|{}|{}",
                std::env::vars().count(),
                std::env::args().count(),
                std::fs::read_dir("/").is_ok(),
            ))),
            mode => misbehave(mode).map(|()| Key::exactly("fine")),
        }
    }

    fn on_store(&self, _key: &str, _request: &Request, _response: &Response) -> Result<Storage> {
        store(&self.mode)
    }

    fn on_item(&self, _item: &Item) -> Result<Storage> {
        store(&self.mode)
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        match event.text("mode").as_deref().unwrap_or(&self.mode) {
            "huge-return" => Ok((0..10_001).map(|n| hard_tag(format!("tag:{n}"))).collect()),
            "heavy-return" => Ok((0..3_000).map(|_| hard_key("k".repeat(4_000))).collect()),
            "bad-tag" => Ok(vec![hard_tag("fine"), hard_tag("two\nlines")]),
            "bad-url" => Ok(vec![refresh("not a url")]),
            "everything" => Ok(vec![hard_everything()]),
            "put" => Ok(vec![put(NewValue::new("k", "v").ttl(60).tag("t"))]),
            "put-for-ages" => Ok(vec![put(NewValue::new("k", "v").ttl(u32::MAX))]),
            "purge-given" => Ok(vec![purge_given(event)]),
            "put-given" => Ok(vec![hard_tag(given(event, "tag")), put_given(event)]),
            mode => misbehave(mode).map(|()| vec![soft_tag("fine")]),
        }
    }
}

fn store(mode: &str) -> Result<Storage> {
    match mode {
        "huge-return" => Ok(Storage::keep().tags((0..65).map(|n| format!("tag:{n}")))),
        "bad-tag" => Ok(Storage::keep().tag("two\nlines")),
        "put-for-ages" => Ok(Storage::ttl(u32::MAX)),
        mode => misbehave(mode).map(|()| Storage::ttl(5).tag("fine")),
    }
}

/// A purge of what the event names.
fn purge_given(event: &Event) -> Action {
    let name = given(event, "name");
    match given(event, "kind").as_str() {
        "key" => hard_key(name),
        "url" => hard_url(name),
        "prefix" => hard_prefix(name),
        "soft-tag" => soft_tag(name),
        _ => hard_tag(name),
    }
}

/// A value as the event has it, and under the key and the tag that it names.
fn put_given(event: &Event) -> Action {
    put(NewValue::new(given(event, "key"), given(event, "value")).tag(given(event, "tag")))
}

fn given(event: &Event, field: &str) -> String {
    event.text(field).unwrap_or_default()
}

fn misbehave(mode: &str) -> Result<()> {
    match mode {
        "spin" => loop {
            black_box(mode);
        },
        "grow" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(black_box(vec![1; 1 << 20]));
            }
        }
        "trap" => panic!("as asked"),
        "exit" => std::process::exit(3),
        "sleep" => {
            std::thread::sleep(Duration::from_secs(3_600));
            Ok(())
        }
        "recurse" => {
            black_box(recurse(1));
            Ok(())
        }
        "error" => Err(Error::new("no answer today")),
        _ => Ok(()),
    }
}

#[allow(unconditional_recursion, reason = "the point is to run out of stack")]
fn recurse(depth: u64) -> u64 {
    recurse(black_box(depth) + 1) + 1
}
