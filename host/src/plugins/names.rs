//! What a component imports and exports by name, read from its bytes before anything is compiled:
//! compiling an interpreter takes seconds, and what is refused should be refused at once.
//!
//! # Invariants
//! - A component that asks for something that is not granted, or was made for another version of
//!   the contract, is refused by name.
//!
//! # Not here
//! Whether the types behind the names fit: `component`, by the linker.

use wasmparser::{BinaryReaderError, Parser, Payload};

use super::contract::{self, INTERFACE_LIFECYCLE};
use super::error::PluginError;
use super::wasi;

/// The outermost names of a component.
#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Refuses a component by its names.
pub(super) fn check(name: &str, bytes: &[u8]) -> Result<(), PluginError> {
    let names = read(bytes).map_err(|error| PluginError::NotComponent {
        name: name.to_owned(),
        reason: error.to_string(),
    })?;
    let all = names.exports.iter().chain(&names.imports);
    let mut versions = all.filter_map(|one| contract::version_of(one));
    if let Some(version) = versions.find(|version| !contract::is_spoken(version)) {
        let (name, version) = (name.to_owned(), version.to_owned());
        return Err(PluginError::Version { name, version, spoken: contract::spoken() });
    }
    let imports = names.imports.iter().map(String::as_str);
    let refused: Vec<&str> = imports.filter(|import| !wasi::is_granted(import)).collect();
    if !refused.is_empty() {
        let imports = refused.join(", ");
        return Err(PluginError::Imports { name: name.to_owned(), imports });
    }
    if !names.exports.iter().any(|export| is_lifecycle(export)) {
        return Err(PluginError::NoLifecycle { name: name.to_owned() });
    }
    Ok(())
}

/// Whatever patch of it: the linker matches as semver does.
fn is_lifecycle(export: &str) -> bool {
    let interface = INTERFACE_LIFECYCLE.split('@').next().unwrap_or_default();
    export.split_once('@').is_some_and(|(name, _)| name == interface)
}

fn read(bytes: &[u8]) -> Result<Names, BinaryReaderError> {
    let mut names = Names::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_outermost_component_alone_are_read() {
        let wat = r#"(component
            (import "a:b/c@1.0.0" (instance))
            (component (import "inner:b/c@1.0.0" (instance)))
            (core module (import "x" "y" (func)))
            (instance $empty)
            (export "d:e/f@2.0.0" (instance $empty)))"#;
        let names = read(&wat::parse_str(wat).unwrap()).unwrap();
        assert_eq!(names.imports, ["a:b/c@1.0.0"]);
        assert_eq!(names.exports, ["d:e/f@2.0.0"]);
    }
}
