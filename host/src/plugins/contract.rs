//! The versions of the plugins' contract that this server speaks.
//!
//! In 0.x each minor is a contract of its own, from 1.0 on each major (semver.org, 4 and 8), and
//! wasmtime matches names within one whatever the patch. A further version gets a row here,
//! bindings of its own, and its way into the model's types beside `convert`; those before it stay.
//!
//! # Invariants
//! - What is not in the table is refused by its version, before it is compiled.
//! - A patch only adds: what was made for an earlier one is answered as it always was.
//!
//! # Not here
//! What the contract says: `guest-sdk/wit`.

/// The interfaces' package.
const PACKAGE: &str = "wasmcached:plugin/";

/// Each version without what may differ within it.
const SPOKEN: [&str; 1] = ["0.1"];

/// The interface that makes a component a plugin, in the oldest version spoken.
pub(super) const INTERFACE_LIFECYCLE: &str = "wasmcached:plugin/lifecycle@0.1.0";

/// The versions that are spoken, for people.
pub(super) fn spoken() -> String {
    SPOKEN.join(", ")
}

/// The version of the contract in `wasmcached:plugin/INTERFACE@VERSION`.
pub(super) fn version_of(name: &str) -> Option<&str> {
    let (_interface, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    Some(version)
}

/// Whether a version of the contract is one of those that are spoken.
pub(super) fn is_spoken(version: &str) -> bool {
    track_of(version).is_some_and(|track| SPOKEN.contains(&track.as_str()))
}

/// What must be equal for two versions to fit: `0.1` of `0.1.7`, `1` of `1.4.2`. A version before a
/// release fits none (semver.org, 9).
fn track_of(version: &str) -> Option<String> {
    let mut numbers = version.split('.');
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if numbers.next().is_some() || ![major, minor, patch].into_iter().all(is_number) {
        return None;
    }
    Some(if major == "0" { format!("0.{minor}") } else { major.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_patches_of_the_contract_are_spoken() {
        for (version, expected) in [
            ("0.1.0", true),
            ("0.1.7", true),
            ("0.2.0", false),
            ("0.10.0", false),
            ("1.0.0", false),
            ("0.1", false),
            ("0.1.1-rc.1", false),
            ("0.1.x", false),
        ] {
            assert_eq!(is_spoken(version), expected, "{version}");
        }
        assert_eq!(track_of("1.4.2").as_deref(), Some("1"));
        assert_eq!(version_of("wasmcached:plugin/keyer@0.2.0"), Some("0.2.0"));
        assert_eq!(version_of("acme:plugin/keyer@0.2.0"), None);
    }
}
