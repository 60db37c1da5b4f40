//! `plugin new`: a project that builds and passes its tests at once.
//!
//! # Invariants
//! - Nothing that is there is overwritten.
//! - A project is whole by itself: the library that it is written with lies in it.
//!
//! # Not here
//! The templates and the libraries: `guest-sdk/` at the top of the repository.

use std::fs;
use std::path::Path;

use super::error::{PluginFailure, at, wrong};
use super::project::Language;
use super::{manifest, say};

/// Every embedded file by its name, written by `build.rs`.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/project_files.rs"));

/// What stands in the templates for the project's name, and for the same as an identifier.
const NAME: &str = "my-plugin";
const IDENTIFIER: &str = "my_plugin";

/// Longest name of a project.
const NAME_BYTES_MAX: usize = 64;

/// Names that the project's own tools keep for themselves.
const TAKEN: [&str; 8] =
    ["alloc", "core", "proc-macro", "sdk", "std", "test", "wasmcached", "wasmcached-plugin"];

/// Writes the project into a folder that is empty or is not there yet.
pub(super) fn write_project(dir: &Path, language: Language) -> Result<(), PluginFailure> {
    let absolute = std::path::absolute(dir).map_err(at(dir))?;
    let name = absolute.file_name().unwrap_or_default().to_string_lossy();
    check_name(&name)?;
    let template = format!("template/{}/", language.name());
    let sdk = format!("sdk/{}/", language.name());
    if !FILES.iter().any(|(file, _)| file.starts_with(&template)) {
        return Err(PluginFailure::NoTemplate { language: language.name() });
    }
    refuse_what_is_there(dir)?;
    for (file, content) in FILES {
        if let Some(file) = file.strip_prefix(&template) {
            let file = named(file, &name);
            let content = match std::str::from_utf8(content) {
                Ok(text) => named(text, &name).into_bytes(),
                Err(_) => content.to_vec(),
            };
            write(&dir.join(file), &content)?;
        } else if let Some(file) = file.strip_prefix(&sdk) {
            let path = dir.join("sdk").join(file);
            match file.ends_with("Cargo.toml") {
                true => write(&path, stand_alone(&path, content)?.as_bytes())?,
                false => write(&path, content)?,
            }
        }
    }
    let shown = dir.display();
    say(format_args!("{shown}: a plugin project in {}", language.title()))?;
    say(format_args!("next: wasmcached plugin test {shown}"))
}

fn named(text: &str, name: &str) -> String {
    text.replace(NAME, name).replace(IDENTIFIER, &name.replace('-', "_"))
}

/// It becomes the name of a package in each language, of a file, and of a plugin.
fn check_name(name: &str) -> Result<(), PluginFailure> {
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_'));
    let reason = if name.len() > NAME_BYTES_MAX {
        "longer than 64 characters"
    } else if !is_name {
        "a letter comes first, then letters, digits, `-` and `_`, all in lower case"
    } else if TAKEN.contains(&name) {
        "taken by a tool or a library"
    } else {
        return Ok(());
    };
    Err(PluginFailure::Name { name: name.to_owned(), reason })
}

fn refuse_what_is_there(dir: &Path) -> Result<(), PluginFailure> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(PluginFailure::NotEmpty { dir: dir.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(dir)(error)),
    }
}

fn stand_alone(path: &Path, content: &[u8]) -> Result<String, PluginFailure> {
    let workspace = FILES.iter().find(|(file, _)| *file == "workspace.toml");
    let workspace = workspace.map_or(&[][..], |(_, content)| content);
    let (own, whole) = (String::from_utf8_lossy(content), String::from_utf8_lossy(workspace));
    manifest::stand_alone(&own, &whole).map_err(|reason| wrong(path, reason))
}

fn write(path: &Path, content: &[u8]) -> Result<(), PluginFailure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    fs::write(path, content).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_package_may_have_are_refused() {
        for name in ["shop", "shop-2", "a_b"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Shop", "2shop", "shop.x", "sh op", "test", "é", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn every_template_names_the_project_and_brings_its_library() {
        let of = |prefix: String| FILES.iter().filter(move |(file, _)| file.starts_with(&prefix));
        let has = |language: &Language| of(format!("template/{}/", language.name())).count() > 0;
        assert!(has(&Language::Rust));
        for language in [Language::Rust, Language::Python, Language::Js].iter().filter(|l| has(l)) {
            let name = language.name();
            let mut files = of(format!("template/{name}/"));
            let is_named = files.any(|(_, text)| String::from_utf8_lossy(text).contains(NAME));
            assert!(is_named, "{name}");
            let has_contract = of(format!("sdk/{name}/")).any(|(file, _)| file.ends_with(".wit"));
            assert!(has_contract, "{name}");
        }
    }
}
