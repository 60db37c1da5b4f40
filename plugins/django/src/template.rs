//! Names with places to fill in: `/treks/{trek.slug}/`.
//!
//! # Invariants
//! - A name with a place that can't be filled is only its beginning, never a name with a hole.
//!
//! # Not here
//! Where values come from: images.

use wasmcached_plugin::django::quote;
use wasmcached_plugin::prelude::*;

use crate::image::Image;

/// A name with places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Pk,
    Field(String),
}

/// What came of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filled {
    Whole(String),
    /// What comes before the first unknown value.
    Beginning(String),
}

impl Filled {
    pub(crate) fn into_whole(self) -> Option<String> {
        match self {
            Self::Whole(text) => Some(text),
            Self::Beginning(_) => None,
        }
    }
}

impl Template {
    /// From its text.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            push_text(&mut pieces, before, text)?;
            let Some((name, after)) = after.split_once('}') else {
                return Err(Error::new(format!("{text:?}: `{{` without `}}`")));
            };
            let is_path = !name.split('.').any(|part| part.is_empty() || part.contains('{'));
            match name {
                "pk" => pieces.push(Piece::Pk),
                name if is_path => pieces.push(Piece::Field(name.to_owned())),
                _ => return Err(Error::new(format!("{text:?}: `{{{name}}}` names no field"))),
            }
            rest = after;
        }
        push_text(&mut pieces, rest, text)?;
        Ok(Self { pieces })
    }

    /// With the values of this image.
    pub(crate) fn fill(&self, image: &Image<'_>) -> Filled {
        self.fill_by(image, |value| value)
    }

    /// The same, with every value percent-encoded as in a query.
    pub(crate) fn fill_encoded(&self, image: &Image<'_>) -> Filled {
        self.fill_by(image, |value| quote(&value))
    }

    fn fill_by(&self, image: &Image<'_>, encode: fn(String) -> String) -> Filled {
        let mut filled = String::new();
        for piece in &self.pieces {
            let value = match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Pk => image.pk().map(str::to_owned).map(encode),
                Piece::Field(path) => image.text(path).map(encode),
            };
            match value {
                Some(value) => filled.push_str(&value),
                None => return Filled::Beginning(filled),
            }
        }
        Filled::Whole(filled)
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
