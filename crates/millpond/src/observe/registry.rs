//! The pools of a program by name.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::fmt;

use super::PrometheusText;
use crate::{
    base::Mutex,
    sync::DefaultLock,
    traits::{AtFork, Inspect, Metrics},
};

/// The pools of a program by name, for monitoring.
///
/// Pools that threads share are read on request: [`watch`](Self::watch), [`watch_static`](Self::watch_static). A pool
/// of one thread can be read only by that thread, which publishes its metrics: [`publish`](Self::publish). A registry
/// keeps no pool alive: a pool that was dropped is no longer listed. Names are unique among existing pools and are
/// listed in order.
///
/// No pool is queried while the registry is locked, so a pool may grow from a parent that uses the registry.
///
/// ```
/// use std::sync::Arc;
/// use millpond::{Inspect, Local, Locked, Pool, Tlsf, observe::Registry};
///
/// static POOLS: Registry = Registry::new();
///
/// let messages = Arc::new(Locked::<_>::new(Tlsf::new()));
/// POOLS.watch("messages", &messages)?;
///
/// let particles = Pool::<[f32; 4]>::new();
/// let publisher = POOLS.publish("particles")?;
/// publisher.publish(&particles); // for example, once a frame
///
/// let all = POOLS.read();
/// assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["messages", "particles"]);
/// println!("{}", POOLS.prometheus());
///
/// drop((messages, publisher));
/// assert!(POOLS.read().is_empty());
/// # Ok::<(), millpond::observe::DuplicateName>(())
/// ```
#[derive(Default)]
pub struct Registry {
    entries: Mutex<DefaultLock, BTreeMap<String, Source>>,
}

/// How to get the metrics of a pool.
#[derive(Clone)]
enum Source {
    Watched(Weak<dyn Inspect + Send + Sync>),
    Static(&'static (dyn Inspect + Sync)),
    Published(Weak<Published>),
}

/// What was published last.
type Published = Mutex<DefaultLock, Option<Metrics>>;

impl Source {
    /// Returns the published metrics, if the pool is one that publishes them.
    fn published(&self) -> Option<Arc<Published>> {
        if let Self::Published(metrics) = self { metrics.upgrade() } else { None }
    }

    fn is_alive(&self) -> bool {
        match self {
            Self::Watched(pool) => pool.strong_count() != 0,
            Self::Static(_) => true,
            Self::Published(metrics) => metrics.strong_count() != 0,
        }
    }

    /// Reads the metrics. Returns `None` if the pool was dropped, or if nothing was published yet.
    fn read(&self) -> Option<Metrics> {
        match self {
            Self::Watched(pool) => Some(pool.upgrade()?.metrics()),
            Self::Static(pool) => Some(pool.metrics()),
            Self::Published(metrics) => {
                let metrics = metrics.upgrade()?;
                *metrics.lock()
            }
        }
    }
}

/// The error that a pool of this name exists already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateName(pub String);

impl fmt::Display for DuplicateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is a pool called {:?} already", self.0)
    }
}

impl core::error::Error for DuplicateName {}

impl Registry {
    /// Creates a registry without pools.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Mutex::new(BTreeMap::new()) }
    }

    /// Registers a pool that threads share, until it is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`DuplicateName`] if there is another pool of that name.
    pub fn watch<P: Inspect + Send + Sync + 'static>(
        &self,
        name: &str,
        pool: &Arc<P>,
    ) -> Result<(), DuplicateName> {
        let pool: Weak<P> = Arc::downgrade(pool);
        self.insert(name, Source::Watched(pool))
    }

    /// Registers a pool in a `static`.
    ///
    /// # Errors
    ///
    /// Returns [`DuplicateName`] if there is another pool of that name.
    pub fn watch_static(&self, name: &str, pool: &'static (dyn Inspect + Sync)) -> Result<(), DuplicateName> {
        self.insert(name, Source::Static(pool))
    }

    /// Registers a pool of one thread, whose metrics are those published last. It is listed from the first publication
    /// until the publisher is dropped.
    ///
    /// # Errors
    ///
    /// Returns [`DuplicateName`] if there is another pool of that name.
    pub fn publish(&self, name: &str) -> Result<Publisher, DuplicateName> {
        let metrics = Arc::new(Mutex::new(None));
        self.insert(name, Source::Published(Arc::downgrade(&metrics)))?;
        Ok(Publisher { metrics })
    }

    fn insert(&self, name: &str, entry: Source) -> Result<(), DuplicateName> {
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| entry.is_alive());
        if entries.contains_key(name) {
            return Err(DuplicateName(name.to_owned()));
        }
        entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// Reads the metrics of all existing pools, in the order of their names. As expensive as [`Inspect::metrics`] of
    /// all pools that threads share.
    #[must_use]
    pub fn read(&self) -> Vec<(String, Metrics)> {
        let entries: Vec<_> = {
            let mut entries = self.entries.lock();
            entries.retain(|_, entry| entry.is_alive());
            entries.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
        };
        entries.into_iter().filter_map(|(name, entry)| Some((name, entry.read()?))).collect()
    }

    /// Returns the metrics of all pools in the text format of Prometheus: see [`PrometheusText`].
    #[must_use]
    pub fn prometheus(&self) -> String {
        alloc::format!("{}", PrometheusText(&self.read()))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.lock().keys()).finish()
    }
}

/// Locks the registry, but not the pools: shared pools are registered for `fork` separately.
// SAFETY: there are no parts. What is unlocked is what `prepare` locks: entries do not change while the registry is
// locked, and what was published by a publisher that has been dropped since is not reached again.
unsafe impl AtFork for Registry {
    fn prepare(&self) {
        self.entries.prepare();
        // SAFETY: the current thread has locked it.
        let entries = unsafe { &*self.entries.data_ptr() };
        entries.values().filter_map(Source::published).for_each(|metrics| metrics.prepare());
    }

    unsafe fn parent(&self) {
        // SAFETY: the current thread has locked it and the entries in it.
        unsafe {
            let entries = &*self.entries.data_ptr();
            entries.values().filter_map(Source::published).for_each(|metrics| metrics.parent());
            self.entries.parent();
        }
    }

    unsafe fn child(&self) {
        // SAFETY: as above, and the caller is the only thread.
        unsafe {
            let entries = &*self.entries.data_ptr();
            entries.values().filter_map(Source::published).for_each(|metrics| metrics.child());
            self.entries.child();
        }
    }
}

/// Publishes the metrics of a pool of one thread: see [`Registry::publish`]. When it is dropped, the pool's name can be
/// used again.
#[derive(Debug)]
pub struct Publisher {
    metrics: Arc<Published>,
}

impl Publisher {
    /// Publishes the current metrics. As expensive as [`Inspect::metrics`].
    pub fn publish(&self, pool: &impl Inspect) {
        let metrics = pool.metrics();
        *self.metrics.lock() = Some(metrics);
    }
}
