//! What an instance may take and what it has taken: memories, tables, parts.
//!
//! # Invariants
//! - A growth that is refused is a trap: a guest can't go on as if it had the memory.
//! - What was taken is never less than what the guest has: memories only grow.
//!
//! # Not here
//! Time and stack: `engine`, `instance`.

use wasmtime::{Error, ResourceLimiter, Result, StoreLimits, StoreLimitsBuilder};

/// Parts that a component may be made of; an interpreter is made of three.
const CORE_INSTANCES_MAX: usize = 64;

/// Memories of one instance, each with the operator's limit; QuickJS needs three.
const MEMORIES_MAX: usize = 4;

/// Tables of one instance, and entries of each; CPython needs 6 000.
const TABLES_MAX: usize = 8;
const TABLE_ELEMENTS_MAX: usize = 100_000;

/// The limiter of one instance.
pub(super) struct Limiter {
    limits: StoreLimits,
    /// The largest size of any of its memories.
    memory_bytes: usize,
}

impl Limiter {
    /// One whose memories may have so many bytes each.
    pub(super) fn new(memory_bytes_max: usize) -> Self {
        let limits = StoreLimitsBuilder::new()
            .memory_size(memory_bytes_max)
            .memories(MEMORIES_MAX)
            .tables(TABLES_MAX)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(CORE_INSTANCES_MAX)
            .trap_on_grow_failure(true)
            .build();
        Self { limits, memory_bytes: 0 }
    }

    /// The size of its largest memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> Result<bool> {
        let is_granted = self.limits.memory_growing(current, desired, maximum)?;
        if is_granted {
            self.memory_bytes = self.memory_bytes.max(desired);
        }
        Ok(is_granted)
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
