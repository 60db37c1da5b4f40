//! The limits of one instance, and how much of its memory it has.
//!
//! # Invariants
//! - What is counted is what wasmtime was told it may have: the memories' sizes, not what is
//!   resident.
//!
//! # Not here
//! The limits' values: `instance` and the operator.

use wasmtime::{Error, ResourceLimiter, Result, StoreLimits};

/// wasmtime's limits with a count of the memory that was granted.
pub(super) struct Limits {
    limits: StoreLimits,
    memory_bytes: usize,
}

impl Limits {
    pub(super) fn new(limits: StoreLimits) -> Self {
        Self { limits, memory_bytes: 0 }
    }

    /// All memories of the instance together.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let grows = self.limits.memory_growing(current, desired, maximum)?;
        if grows {
            self.memory_bytes += desired.saturating_sub(current);
        }
        Ok(grows)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.limits.memory_grow_failed(error)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        self.limits.table_growing(current, desired, maximum)
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        self.limits.table_grow_failed(error)
    }

    fn instances(&self) -> usize {
        self.limits.instances()
    }

    fn tables(&self) -> usize {
        self.limits.tables()
    }

    fn memories(&self) -> usize {
        self.limits.memories()
    }
}
