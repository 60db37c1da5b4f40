//! Names with places to fill in, as rules write them: `trek:{both.trek}`.
//!
//! # Invariants
//! - A template that exists is well formed and has only places that its writer knows.
//! - A name is whole or not there: never one with a hole.
//!
//! # Not here
//! Which rules have templates: the plugins.

mod event;

use std::borrow::Cow;

use crate::{Error, Result};
pub use event::{EventTemplate, Names};

/// A text with places; `P` says what may stand in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<P> {
    pieces: Vec<Piece<P>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<P> {
    Text(String),
    Place(P),
}

impl<P> Template<P> {
    /// From its text. `place` reads what stands between braces; `known` tells people what may.
    ///
    /// # Errors
    /// An empty text, a brace without the other one, and a place that `place` does not know.
    pub fn parse(text: &str, known: &str, place: impl Fn(&str) -> Option<P>) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            push_text(&mut pieces, before, text)?;
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::new(format!("{text:?}: `{{` without `}}`")));
            };
            let unknown = || Error::new(format!("unknown variable {{{name}}}; {known}"));
            pieces.push(Piece::Place(place(name).ok_or_else(unknown)?));
            rest = after;
        }
        push_text(&mut pieces, rest, text)?;
        match pieces.is_empty() {
            true => Err(Error::new("an empty name")),
            false => Ok(Self { pieces }),
        }
    }

    /// The fixed parts, for checks.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Place(_) => None,
        })
    }

    /// What stands in the places, for checks.
    pub fn places(&self) -> impl Iterator<Item = &P> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Place(place) => Some(place),
        })
    }

    /// The whole name, or why there is none: the first error of `value`.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn fill<'a, E>(
        &'a self,
        mut value: impl FnMut(&'a P) -> std::result::Result<Cow<'a, str>, E>,
    ) -> std::result::Result<String, E> {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Place(place) => name.push_str(&value(place)?),
            }
        }
        Ok(name)
    }
}

fn push_text<P>(pieces: &mut Vec<Piece<P>>, text: &str, whole: &str) -> Result<()> {
    if text.contains('}') {
        return Err(Error::new(format!("{whole:?}: `}}` without `{{`")));
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}
