//! The plugin of the trekking sample application: pages of treks with photos, and a queue.
//!
//! # Invariants
//! - Every page carries the tags of what it shows; every event names the tags of what it changed.
//!
//! # Not here
//! Lifetimes: the application says them in `Cache-Control`.

use wasmcached_plugin::prelude::*;

/// Knows which page shows what.
#[derive(Default)]
pub struct Trekking;

#[plugin(name = "trekking", key_epoch = 1)]
impl Plugin for Trekking {
    fn cache_key(&self, request: &Request) -> Result<Key> {
        Ok(Key::of(request).drop_query("utm_*"))
    }

    fn on_store(&self, _key: &str, request: &Request, _response: &Response) -> Result<Storage> {
        // The tags of models are for the server, should an event ever fail to name anything
        // smaller.
        let of_treks = Storage::keep().tag("model:treks.trek").tag("model:treks.photo");
        Ok(match request.path() {
            "/" => of_treks.tag("home"),
            "/queue/" => Storage::keep().tag("model:queue.message").tag("queue"),
            path => match trek_of(path) {
                Some(slug) => of_treks.tag(format!("trek:{slug}")),
                None => Storage::keep(),
            },
        })
    }

    fn on_event(&self, event: &Event) -> Result<Vec<Action>> {
        let fields = match event.model() {
            "treks.photo" => ["before.trek", "after.trek"],
            "treks.trek" => ["before.slug", "after.slug"],
            "queue.message" => return Ok(vec![hard_tag("queue")]),
            _ => return Ok(Vec::new()),
        };
        let mut slugs: Vec<String> = fields.iter().filter_map(|f| event.text(f)).collect();
        slugs.dedup();
        if slugs.is_empty() {
            let model = event.model();
            return Err(Error::new(format!("{model}: neither {} nor {}", fields[0], fields[1])));
        }
        let treks = slugs.into_iter().map(|slug| hard_tag(format!("trek:{slug}")));
        Ok(treks.chain([hard_tag("home")]).collect())
    }
}

/// `everest` of `/treks/everest/`.
fn trek_of(path: &str) -> Option<&str> {
    let slug = path.strip_prefix("/treks/")?.strip_suffix('/')?;
    (!slug.is_empty() && !slug.contains('/')).then_some(slug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmcached_plugin::testing::{actions, event, get, key, response, storage};

    fn tags_of(url: &str) -> Storage {
        storage(&Trekking, &get(url), &response(200))
    }

    #[test]
    fn campaigns_share_the_page() {
        assert_eq!(key(&Trekking, &get("https://t/?utm_source=a&page=2")), "http://t/?page=2");
        assert_eq!(key(&Trekking, &get("https://t/?utm_source=a")), "http://t/");
    }

    #[test]
    fn pages_carry_the_tags_of_what_they_show() {
        let of_treks = || Storage::keep().tag("model:treks.trek").tag("model:treks.photo");
        assert_eq!(tags_of("https://t/"), of_treks().tag("home"));
        assert_eq!(tags_of("https://t/treks/everest/"), of_treks().tag("trek:everest"));
        let of_queue = Storage::keep().tag("model:queue.message").tag("queue");
        assert_eq!(tags_of("https://t/queue/"), of_queue);
        assert_eq!(tags_of("https://t/about/"), Storage::keep());
        assert_eq!(tags_of("https://t/treks//"), Storage::keep());
    }

    #[test]
    fn a_photo_that_moved_changes_both_treks() {
        let moved = event("treks.photo").id(5).field("before.trek", "k2").field("after.trek", "g1");
        let expected = [hard_tag("trek:k2"), hard_tag("trek:g1"), hard_tag("home")];
        assert_eq!(actions(&Trekking, &moved), expected);
    }

    #[test]
    fn a_photo_that_stayed_changes_its_trek_once() {
        let edited = event("treks.photo").field("before.trek", "k2").field("after.trek", "k2");
        assert_eq!(actions(&Trekking, &edited), [hard_tag("trek:k2"), hard_tag("home")]);
    }

    #[test]
    fn a_trek_changes_its_page_and_the_home_page() {
        let renamed = event("treks.trek").field("before.slug", "k2").field("after.slug", "k-2");
        let expected = [hard_tag("trek:k2"), hard_tag("trek:k-2"), hard_tag("home")];
        assert_eq!(actions(&Trekking, &renamed), expected);
    }

    #[test]
    fn an_event_that_names_no_trek_is_an_error_and_not_a_smaller_purge() {
        let nameless = event("treks.photo").id(5).to_event();
        let error = Trekking.on_event(&nameless).expect_err("no trek is named");
        assert_eq!(error.to_string(), "treks.photo: neither before.trek nor after.trek");
    }

    #[test]
    fn a_message_changes_the_queue_alone() {
        assert_eq!(actions(&Trekking, &event("queue.message").id(1)), [hard_tag("queue")]);
    }

    #[test]
    fn unknown_models_change_nothing() {
        assert_eq!(actions(&Trekking, &event("auth.user").id(1)), []);
    }
}
