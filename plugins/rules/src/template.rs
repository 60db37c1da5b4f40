//! Names with places to fill in: `trek:{after.trek}`.
//!
//! # Invariants
//! - A template that exists is well formed and has only variables that its rule can fill.
//! - A variable without a value yields no name at all, never a name with a hole.
//!
//! # Not here
//! Which rule has which templates: `config`.

use wasmcached_plugin::prelude::*;

/// A name with places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Pk,
    Model,
    Operation,
    /// `before.x` or `after.x` of the payload.
    Payload(String),
    /// A segment of the path; `/treks/everest/` has `treks` as 0 and `everest` as 1.
    Path(usize),
}

/// What a rule is asked about, and so what its templates can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Page,
    Item,
    Event,
}

impl Template {
    /// From its text.
    pub(crate) fn parse(text: &str, about: About) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            push_text(&mut pieces, before, text)?;
            let Some((variable, after)) = after.split_once('}') else {
                return Err(Error::new(format!("{text:?}: `{{` without `}}`")));
            };
            pieces.push(parse_variable(variable, about)?);
            rest = after;
        }
        push_text(&mut pieces, rest, text)?;
        if pieces.is_empty() {
            return Err(Error::new("an empty name"));
        }
        Ok(Self { pieces })
    }

    /// The fixed parts, for checks.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The name, where there are no variables.
    pub(crate) fn as_text(&self) -> String {
        self.texts().collect()
    }

    /// The name for a page, or `None` if the path has no such segment.
    pub(crate) fn of_path(&self, path: &str) -> Option<String> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Path(n) => {
                    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
                    name.push_str(segments.nth(*n)?);
                }
                _ => return None,
            }
        }
        Some(name)
    }

    /// The name for an event, or `None` if the payload has no such value.
    pub(crate) fn of_event(&self, event: &Event) -> Result<Option<String>> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Model => name.push_str(event.model()),
                Piece::Operation => name.push_str(event.operation().as_str()),
                Piece::Pk => match event.object_id() {
                    Some(id) => name.push_str(id),
                    None => {
                        let model = event.model();
                        let problem =
                            format!("needs {{pk}}, but the event is about all of {model}");
                        return Err(Error::new(problem));
                    }
                },
                Piece::Payload(path) => match event.text(path).filter(|value| !value.is_empty()) {
                    Some(value) => name.push_str(&value),
                    None => return Ok(None),
                },
                Piece::Path(_) => return Ok(None),
            }
        }
        Ok(Some(name))
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, whole: &str) -> Result<()> {
    if text.contains('}') {
        return Err(Error::new(format!("{whole:?}: `}}` without `{{`")));
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}

fn parse_variable(variable: &str, about: About) -> Result<Piece> {
    let known = match about {
        About::Page => "there is {path.N}",
        About::Item => "names of items have no variables",
        About::Event => "there are {pk}, {model}, {operation}, {before.x} and {after.x}",
    };
    let of_payload = |name: &str| !name.is_empty() && !name.split('.').any(str::is_empty);
    let piece = match (about, variable, variable.split_once('.')) {
        (About::Page, _, Some(("path", n))) => n.parse().ok().map(Piece::Path),
        (About::Event, "pk", _) => Some(Piece::Pk),
        (About::Event, "model", _) => Some(Piece::Model),
        (About::Event, "operation", _) => Some(Piece::Operation),
        (About::Event, _, Some(("before" | "after", name))) if of_payload(name) => {
            Some(Piece::Payload(variable.to_owned()))
        }
        _ => None,
    };
    piece.ok_or_else(|| Error::new(format!("unknown variable {{{variable}}}; {known}")))
}
