//! The locks and atomics that the cache is made of, named in one place, so that the suite that runs
//! it under many schedules can put instrumented ones there.

pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock};
