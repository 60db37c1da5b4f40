//! A plugin that was made for 0.1.0 of the contract, by its own copy of it and nothing newer: what
//! it is promised must hold for as long as a server speaks 0.1.
//!
//! # Invariants
//! - The contract beside it is the text of 0.1.0, and is never changed.
//! - Every hook answers with what it was given, so that a test sees that all of it arrives.
//!
//! # Not here
//! The library for plugin authors, which moves with the contract.

#![cfg(target_arch = "wasm32")]

#[allow(missing_docs, unreachable_pub, reason = "generated from the contract")]
mod contract {
    wit_bindgen::generate!({ path: "wit", world: "plugin" });
}

use contract::exports::wasmcached::plugin::{invalidator, keyer, lifecycle, tagger};
use contract::wasmcached::plugin::log;
use contract::wasmcached::plugin::types::{
    Action, Event, Input, Invalidation, Key, Manifest, NewValue, PurgeMode, Request, Response,
    Storage, Target,
};

struct OfThen;

contract::export!(OfThen with_types_in contract);

impl lifecycle::Guest for OfThen {
    fn configure(config: Vec<(String, String)>) -> Result<(), String> {
        match config.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("unknown setting `{name}`")),
        }
    }

    fn describe() -> Result<Manifest, String> {
        Ok(Manifest {
            name: "of-then".to_owned(),
            version: "0.1.0".to_owned(),
            inputs: vec![Input::QueryParam("page".to_owned())],
            item_prefixes: vec!["then:".to_owned()],
            key_epoch: 1,
            pure: true,
        })
    }
}

impl keyer::Guest for OfThen {
    fn cache_key(req: Request) -> Result<Key, String> {
        match req.path.as_str() {
            "/bypass" => Ok(Key::Bypass),
            "/default" => Ok(Key::Default),
            path => Ok(Key::Custom(format!("then:{path}:{:?}", req.inputs))),
        }
    }
}

impl tagger::Guest for OfThen {
    fn on_store(key: String, req: Request, resp: Response) -> Result<Storage, String> {
        log::log(log::Level::Info, &format!("stores {key} of {}", resp.status));
        let tags = vec![format!("path:{}", req.path)];
        Ok(kept(Some(60), tags))
    }

    fn on_item(key: String, flags: u32, body_size: u32) -> Result<Storage, String> {
        Ok(kept(None, vec![format!("item:{key}:{flags}:{body_size}")]))
    }
}

impl invalidator::Guest for OfThen {
    fn on_event(ev: Event) -> Result<Vec<Action>, String> {
        let id = ev.object_id.ok_or("no object")?;
        let target = Target::Tag(format!("path:/{id}"));
        let value = NewValue {
            key: format!("of:{}", ev.model),
            value: ev.payload.into_bytes(),
            ttl_s: Some(60),
            tags: vec!["of-then".to_owned()],
        };
        Ok(vec![
            Action::Invalidate(Invalidation { target, mode: PurgeMode::Hard }),
            Action::Put(value),
        ])
    }
}

fn kept(ttl_s: Option<u32>, tags: Vec<String>) -> Storage {
    Storage { store: true, ttl_s, stale_while_revalidate_s: None, stale_if_error_s: None, tags }
}
