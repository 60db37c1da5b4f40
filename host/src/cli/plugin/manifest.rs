//! The manifests of the Rust library as they stand outside of its workspace.
//!
//! # Invariants
//! - Versions and features are those that the server itself was built with: they come from the
//!   workspace's own manifest.
//!
//! # Not here
//! The other languages, whose libraries inherit nothing.

use toml::{Table, Value};

/// The manifest with everything that it inherits written out. What only matters in the workspace,
/// its lints, is left out.
///
/// # Errors
/// What is inherited and not there to be.
pub(super) fn stand_alone(manifest: &str, workspace: &str) -> Result<String, String> {
    let mut manifest = parse(manifest)?;
    let workspace = parse(workspace)?;
    let workspace = table(&workspace, "workspace")?;
    let (package, dependencies) = (table(workspace, "package")?, table(workspace, "dependencies")?);
    manifest.remove("lints");
    inherit(&mut manifest, "package", package)?;
    inherit(&mut manifest, "dependencies", dependencies)?;
    if let Some(Value::Table(targets)) = manifest.get_mut("target") {
        for (_, target) in targets.iter_mut() {
            if let Value::Table(target) = target {
                inherit(target, "dependencies", dependencies)?;
            }
        }
    }
    toml::to_string(&manifest).map_err(|error| error.to_string())
}

/// Writes out `name.workspace = true` within one table of the manifest.
fn inherit(manifest: &mut Table, section: &str, from: &Table) -> Result<(), String> {
    let Some(Value::Table(section)) = manifest.get_mut(section) else { return Ok(()) };
    for (name, value) in section.iter_mut() {
        let is_inherited = value.get("workspace") == Some(&Value::Boolean(true));
        if is_inherited {
            let inherited = from.get(name).ok_or_else(|| format!("workspace has no `{name}`"))?;
            *value = inherited.clone();
        }
        // The library lies in one folder of the project instead of the repository's.
        if let Some(Value::String(path)) = value.get_mut("path") {
            *path = path.trim_start_matches("guest-sdk/").to_owned();
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Table, String> {
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

fn table<'a>(of: &'a Table, name: &str) -> Result<&'a Table, String> {
    of.get(name).and_then(Value::as_table).ok_or_else(|| format!("there is no [{name}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inherited_any_more() {
        let workspace = include_str!("../../../../Cargo.toml");
        let sdk = stand_alone(include_str!("../../../../guest-sdk/Cargo.toml"), workspace).unwrap();
        assert!(!sdk.contains("workspace") && !sdk.contains("lints"), "{sdk}");
        let sdk = parse(&sdk).unwrap();
        assert_eq!(sdk["package"]["edition"].as_str(), Some("2024"));
        let macros = &sdk["dependencies"]["wasmcached-plugin-macros"];
        assert_eq!(macros["path"].as_str(), Some("macros"));
        let bindgen = &sdk["target"]["cfg(target_arch = \"wasm32\")"]["dependencies"];
        assert_eq!(bindgen["wit-bindgen"]["default-features"].as_bool(), Some(false));
    }

    #[test]
    fn what_the_workspace_lacks_is_named() {
        let workspace = "[workspace.package]\n[workspace.dependencies]\n";
        let error = stand_alone("[dependencies]\nserde.workspace = true\n", workspace).unwrap_err();
        assert_eq!(error, "workspace has no `serde`");
    }
}
