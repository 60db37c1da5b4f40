//! The plugins inside the binary, compiled by `build.rs`.
//!
//! # Invariants
//! - They go the same way as an operator's file: nothing about them is trusted more.
//!
//! # Not here
//! Their code: `plugins/` at the top of the repository.

/// Every shipped plugin by name.
const SHIPPED: [(&str, &[u8]); 4] = [
    ("django", include_bytes!(env!("WASMCACHED_GUEST_DJANGO"))),
    ("nginx-keys", include_bytes!(env!("WASMCACHED_GUEST_NGINX_KEYS"))),
    ("rules", include_bytes!(env!("WASMCACHED_GUEST_RULES"))),
    ("trekking", include_bytes!(env!("WASMCACHED_GUEST_TREKKING"))),
];

/// The component of this name.
pub(super) fn component(name: &str) -> Option<&'static [u8]> {
    SHIPPED.iter().find(|(shipped, _)| *shipped == name).map(|(_, bytes)| *bytes)
}

/// The names, for an error.
pub(super) fn names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}
