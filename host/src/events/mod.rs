//! The webhook: an application says what it saved; when it gets its 2xx, nothing older is served.

pub mod signature;
