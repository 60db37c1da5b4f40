//! Requests, responses and events to try a plugin with: ordinary and odd ones, always the same.
//!
//! # Invariants
//! - Numbers come from a fixed seed: a finding is found again.
//! - A request is one that a server might show: inputs that are query parameters agree with the
//!   query.
//!
//! # Not here
//! What is asked of a plugin: `check`, `bench`.

use crate::model::{Event, Input, Operation, RequestView, ResponseView};

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

const HOSTS: [&str; 3] = ["shop", "shop:8080", "www.example.org"];
const SEGMENTS: [&str; 10] =
    ["products", "cart", "admin", "treks", "5", "17", "red-boots", "%C3%A9t%C3%A9", "a.b", ""];
const PARAMETERS: [&str; 8] = ["page", "q", "sort", "utm_source", "utm_campaign", "id", "b", "a"];
const VALUES: [&str; 8] = ["1", "2", "", "x", "a%20b", "new", "de", "\u{e9}"];
const LANGUAGES: [&str; 6] = ["de", "de-AT,de;q=0.9,en;q=0.8", "en-GB", "fr", "*", "x"];
const TYPES: [&str; 4] = ["text/html", "text/html,*/*;q=0.8", "application/json", "image/webp,*/*"];
const MODELS: [&str; 4] = ["shop.product", "shop.order", "auth.user", "m"];

/// The source of all of it.
pub(super) struct Generator {
    state: u64,
    inputs: Vec<Input>,
}

impl Generator {
    /// For a plugin that sees these inputs.
    pub(super) fn new(inputs: &[Input]) -> Self {
        Self { state: SEED, inputs: inputs.to_owned() }
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(SEED);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let number = self.next() % u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(number).unwrap_or_default()
    }

    fn pick<'a>(&mut self, among: &[&'a str]) -> &'a str {
        let index = self.below(among.len());
        among.get(index).copied().unwrap_or_default()
    }

    /// A request.
    pub(super) fn request(&mut self) -> RequestView {
        let mut path = String::new();
        for _ in 0..=self.below(3) {
            path.push('/');
            path.push_str(self.pick(&SEGMENTS));
        }
        let inputs = self.inputs.clone();
        let declared = inputs.iter().filter_map(|input| match input {
            Input::QueryParam(name) => Some(name.as_str()),
            Input::Header(_) | Input::Cookie(_) => None,
        });
        let names: Vec<&str> = PARAMETERS.into_iter().chain(declared).collect();
        // A server asks no plugin where a parameter that it declares comes twice.
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        for _ in 0..self.below(4) {
            let parameter = (self.pick(&names), self.pick(&VALUES));
            if !parameters.iter().any(|(name, _)| *name == parameter.0) {
                parameters.push(parameter);
            }
        }
        let written: Vec<String> = parameters.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let values = inputs.iter().map(|input| match input {
            Input::QueryParam(name) => {
                let found = parameters.iter().find(|(parameter, _)| parameter == name);
                found.map(|(_, value)| (*value).to_owned())
            }
            Input::Header(name) => self.header(name),
            Input::Cookie(_) => self.value(&VALUES),
        });
        let values = values.collect();
        RequestView {
            method: if self.below(10) == 0 { "HEAD" } else { "GET" }.to_owned(),
            host: self.pick(&HOSTS).to_owned(),
            path,
            query: (!written.is_empty()).then(|| written.join("&")),
            inputs: values,
        }
    }

    fn header(&mut self, name: &str) -> Option<String> {
        match name {
            "accept-language" => self.value(&LANGUAGES),
            "accept" => self.value(&TYPES),
            _ => self.value(&VALUES),
        }
    }

    /// Absent, ordinary, or longer than anybody expects.
    fn value(&mut self, among: &[&str]) -> Option<String> {
        match self.below(20) {
            0..=6 => None,
            7 => Some("v".repeat(1_000)),
            _ => Some(self.pick(among).to_owned()),
        }
    }

    /// A response.
    pub(super) fn response(&mut self) -> ResponseView {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let status = match self.below(4) {
            0 => 404,
            1 => 301,
            _ => 200,
        };
        let mut headers = vec![field("content-type", self.pick(&TYPES))];
        if self.below(2) == 0 {
            headers.push(field("cache-control", "max-age=60"));
        }
        ResponseView { status, headers, body_bytes: u32::try_from(self.below(100_000)).ok() }
    }

    /// An event.
    pub(super) fn event(&mut self) -> Event {
        let model = self.pick(&MODELS);
        let id = (self.below(5) > 0).then(|| self.below(1_000).to_string());
        let operation = match self.below(4) {
            0 => Operation::Created,
            1 => Operation::Updated,
            2 => Operation::Deleted,
            _ => Operation::Other,
        };
        let payload = serde_json::json!({
            "model": model, "pk": id, "op": "update", "changed": ["slug"],
            "before": { "slug": "boots" }, "after": { "slug": self.pick(&SEGMENTS) },
        });
        Event {
            id: format!("check-{}", self.below(1_000_000)),
            source: "check".to_owned(),
            model: model.to_owned(),
            operation,
            object_id: id,
            changed_fields: vec!["slug".to_owned()],
            occurred_at: "2030-01-01T00:00:00Z".to_owned(),
            payload: payload.to_string(),
        }
    }

    /// The numbers below `count` in another order (Fisher and Yates).
    pub(super) fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_give_the_same_requests_and_not_one_like_the_other() {
        let inputs = [Input::QueryParam("page".into()), Input::Header("accept-language".into())];
        let some = |mut from: Generator| (0..100).map(|_| from.request()).collect::<Vec<_>>();
        let first = some(Generator::new(&inputs));
        assert_eq!(first, some(Generator::new(&inputs)));
        let distinct: std::collections::HashSet<_> = first.iter().collect();
        assert!(distinct.len() > 80, "{}", distinct.len());
        for request in &first {
            let query = format!("&{}&", request.query.as_deref().unwrap_or_default());
            let shown = request.inputs[0].as_ref().map(|page| format!("&page={page}&"));
            assert!(shown.is_none_or(|page| query.contains(&page)), "{request:?}");
        }
    }

    #[test]
    fn an_order_has_every_number_once() {
        let mut order = Generator::new(&[]).shuffled(50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
