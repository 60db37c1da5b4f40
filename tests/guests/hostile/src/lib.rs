//! A plugin that does what plugins must not do, one thing per mode, for the tests of the host.
//!
//! # Invariants
//! - Without a mode it behaves.
//! - Its misdeeds are those of `misdeed.rs`, where the host's tests find them too.
//!
//! # Not here
//! Anything that ships.
#![allow(clippy::print_stdout, reason = "what a guest prints is under test too")]

mod misdeed;

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::time::Duration;

use misdeed::{Misdeed, Start};
use wasmcached_plugin::prelude::*;

/// Overwritten in the file by the host's tests, with bytes that are not UTF-8. Long enough to be
/// kept in one piece.
const MARKER: &str = "what stands here is overwritten with bytes that are no text in UTF-8";

#[derive(Default)]
struct Hostile {
    mode: String,
    start: Option<Start>,
    /// What it never gives back.
    hoard: RefCell<Vec<Vec<u8>>>,
    prefix: String,
    calls: Cell<u32>,
}

#[plugin(name = "hostile", key_epoch = 7, pure = false)]
impl Plugin for Hostile {
    fn configure(&mut self, config: &[(String, String)]) -> Result<()> {
        for (name, value) in config {
            match name.as_str() {
                "mode" => self.mode.clone_from(value),
                "start" => self.start = Start::named(value),
                "prefix" => self.prefix.clone_from(value),
                _ => return Err(Error::new(format!("unknown setting `{name}`"))),
            }
        }
        match self.start {
            Some(Start::RefuseConfiguration) => Err(Error::new("this configuration is refused")),
            Some(Start::TrapInConfigure) => panic!("as configured"),
            Some(Start::SpinInConfigure) => spin(),
            Some(Start::TrapInDescribe | Start::SpinInDescribe | Start::BadInput) | None => Ok(()),
        }
    }

    fn inputs(&self) -> Vec<Input> {
        match self.start {
            Some(Start::BadInput) => vec![Input::Header("two words".to_owned())],
            _ => vec![Input::Header("x-mode".to_owned())],
        }
    }

    /// Asked for in `describe` alone.
    fn item_prefixes(&self) -> Vec<String> {
        match self.start {
            Some(Start::TrapInDescribe) => panic!("as configured"),
            Some(Start::SpinInDescribe) => spin(),
            _ => {
                vec![self.prefix.clone()].into_iter().filter(|prefix| !prefix.is_empty()).collect()
            }
        }
    }

    fn cache_key(&self, request: &Request) -> Result<Key> {
        match request.header("x-mode").unwrap_or(&self.mode) {
            "count" => {
                self.calls.set(self.calls.get() + 1);
                Ok(Key::exactly(self.calls.get().to_string()))
            }
            "hoard" => {
                self.hoard.borrow_mut().push(black_box(vec![1; 1 << 20]));
                Ok(Key::exactly(self.hoard.borrow().len().to_string()))
            }
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
            mode => key(Misdeed::named(mode)),
        }
    }

    fn on_store(&self, _key: &str, _request: &Request, _response: &Response) -> Result<Storage> {
        store(Misdeed::named(&self.mode))
    }

    fn on_item(&self, _item: &Item) -> Result<Storage> {
        store(Misdeed::named(&self.mode))
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        match event.text("mode").as_deref().unwrap_or(&self.mode) {
            "put" => Ok(vec![put(NewValue::new("k", "v").ttl(60).tag("t"))]),
            "purge-given" => Ok(vec![purge_given(event)]),
            "put-given" => Ok(vec![hard_tag(given(event, "tag")), put_given(event)]),
            mode => actions(Misdeed::named(mode)),
        }
    }
}

fn key(misdeed: Option<Misdeed>) -> Result<Key> {
    match misdeed {
        Some(Misdeed::HugeReturn) => Ok(Key::exactly("k".repeat(1 << 20))),
        Some(Misdeed::BadUtf8) => Ok(Key::exactly(MARKER)),
        Some(Misdeed::Empty) => Ok(Key::exactly("")),
        other => misbehave(other).map(|()| Key::exactly("fine")),
    }
}

fn store(misdeed: Option<Misdeed>) -> Result<Storage> {
    match misdeed {
        Some(Misdeed::HugeReturn) => Ok(Storage::keep().tags((0..65).map(|n| format!("tag:{n}")))),
        Some(Misdeed::HeavyReturn) => {
            Ok(Storage::keep().tags((0..3_000).map(|_| "t".repeat(4_000))))
        }
        Some(Misdeed::BadUtf8) => Ok(Storage::keep().tag(MARKER)),
        Some(Misdeed::BadTag) => Ok(Storage::keep().tag("two\nlines")),
        Some(Misdeed::PutForAges) => Ok(Storage::ttl(u32::MAX)),
        other => misbehave(other).map(|()| Storage::ttl(5).tag("fine")),
    }
}

fn actions(misdeed: Option<Misdeed>) -> Result<Vec<Action>> {
    match misdeed {
        Some(Misdeed::HugeReturn) => {
            Ok((0..10_001).map(|n| hard_tag(format!("tag:{n}"))).collect())
        }
        Some(Misdeed::HeavyReturn) => Ok((0..3_000).map(|_| hard_key("k".repeat(4_000))).collect()),
        Some(Misdeed::BadUtf8) => Ok(vec![hard_tag("fine"), hard_tag(MARKER)]),
        Some(Misdeed::Empty) => Ok(vec![hard_key("")]),
        Some(Misdeed::BadTag) => Ok(vec![hard_tag("fine"), hard_tag("two\nlines")]),
        Some(Misdeed::BadUrl) => Ok(vec![refresh("not a url")]),
        Some(Misdeed::Everything) => Ok(vec![hard_everything()]),
        Some(Misdeed::PutForAges) => Ok(vec![put(NewValue::new("k", "v").ttl(u32::MAX))]),
        other => misbehave(other).map(|()| vec![soft_tag("fine")]),
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

/// What needs no answer of its own; the rest is harmless in a hook that has no such answer.
fn misbehave(misdeed: Option<Misdeed>) -> Result<()> {
    let Some(misdeed) = misdeed else { return Ok(()) };
    match misdeed {
        Misdeed::Spin => spin(),
        Misdeed::SpinLogging => loop {
            wasmcached_plugin::info("once more");
        },
        Misdeed::SpinLooking => loop {
            let _ = black_box(wasmcached_plugin::cache::get("any"));
        },
        Misdeed::Grow => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(black_box(vec![1; 1 << 20]));
            }
        }
        Misdeed::Trap => panic!("as asked"),
        Misdeed::Exit => std::process::exit(3),
        Misdeed::Sleep => {
            std::thread::sleep(Duration::from_secs(3_600));
            Ok(())
        }
        Misdeed::Recurse => {
            black_box(recurse(1));
            Ok(())
        }
        Misdeed::Error => Err(Error::new("no answer today")),
        Misdeed::HugeReturn
        | Misdeed::HeavyReturn
        | Misdeed::BadUtf8
        | Misdeed::Empty
        | Misdeed::BadTag
        | Misdeed::BadUrl
        | Misdeed::Everything
        | Misdeed::PutForAges => Ok(()),
    }
}

fn spin() -> ! {
    loop {
        black_box(());
    }
}

#[allow(unconditional_recursion, reason = "the point is to run out of stack")]
fn recurse(depth: u64) -> u64 {
    recurse(black_box(depth) + 1) + 1
}
