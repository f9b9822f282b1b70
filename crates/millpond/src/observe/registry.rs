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
    base::{DefaultLock, Mutex},
    traits::{AtFork, Inspect, Metrics},
};

/// The pools of a program by name, for whoever wants to know how they do.
///
/// Pools that threads share are read when somebody asks: [`watch`](Self::watch), [`watch_static`](Self::watch_static).
/// Pools of one thread are its own, so that thread says how they do: [`publish`](Self::publish). A registry keeps no pool
/// alive: one that is gone is gone from here too. Names are of pools that are there, each once; they come in order.
///
/// No pool is asked while the registry is locked, so a pool may grow from a parent that uses the registry.
///
/// ```
/// use std::sync::Arc;
/// use millpond::{Inspect, Local, Locked, Pool, Registry, Tlsf};
///
/// static POOLS: Registry = Registry::new();
///
/// let messages = Arc::new(Locked::<_>::new(Tlsf::new()));
/// POOLS.watch("messages", &messages)?;
///
/// let particles = Pool::<[f32; 4]>::new();
/// let publisher = POOLS.publish("particles")?;
/// publisher.publish(&particles); // once a frame, say
///
/// let all = POOLS.read();
/// assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["messages", "particles"]);
/// println!("{}", POOLS.prometheus());
///
/// drop((messages, publisher));
/// assert!(POOLS.read().is_empty());
/// # Ok::<(), millpond::DuplicateName>(())
/// ```
#[derive(Default)]
pub struct Registry {
    entries: Mutex<DefaultLock, BTreeMap<String, Source>>,
}

/// How to get at the figures of a pool.
#[derive(Clone)]
enum Source {
    Watched(Weak<dyn Inspect + Send + Sync>),
    Static(&'static (dyn Inspect + Sync)),
    Published(Weak<Published>),
}

/// What was published last.
type Published = Mutex<DefaultLock, Option<Metrics>>;

impl Source {
    /// What was published, if that is how the figures are had.
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

    /// Nothing if the pool is gone, or nothing was published yet.
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

/// There is a pool of this name already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateName(pub String);

impl fmt::Display for DuplicateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is a pool called {:?} already", self.0)
    }
}

impl core::error::Error for DuplicateName {}

impl Registry {
    /// A registry without pools.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Mutex::new(BTreeMap::new()) }
    }

    /// Enters a pool that threads share, as long as it is there.
    ///
    /// # Errors
    ///
    /// There is another one of that name.
    pub fn watch<P: Inspect + Send + Sync + 'static>(
        &self,
        name: &str,
        pool: &Arc<P>,
    ) -> Result<(), DuplicateName> {
        let pool: Weak<P> = Arc::downgrade(pool);
        self.insert(name, Source::Watched(pool))
    }

    /// Enters a pool in a `static`.
    ///
    /// # Errors
    ///
    /// There is another one of that name.
    pub fn watch_static(&self, name: &str, pool: &'static (dyn Inspect + Sync)) -> Result<(), DuplicateName> {
        self.insert(name, Source::Static(pool))
    }

    /// Enters a pool of one thread, whose figures are what is published last. It is there as long as the publisher is, from
    /// the first time on that something was published.
    ///
    /// # Errors
    ///
    /// There is another one of that name.
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

    /// The figures of all pools that are there, in the order of their names: as dear as [`Inspect::metrics`] of all that
    /// threads share.
    #[must_use]
    pub fn read(&self) -> Vec<(String, Metrics)> {
        let entries: Vec<_> = {
            let mut entries = self.entries.lock();
            entries.retain(|_, entry| entry.is_alive());
            entries.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
        };
        entries.into_iter().filter_map(|(name, entry)| Some((name, entry.read()?))).collect()
    }

    /// The figures of all pools as Prometheus reads them: see [`PrometheusText`].
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

/// The pools are not held: those that are shared are registered by themselves.
impl AtFork for Registry {
    fn prepare(&self) {
        self.entries.prepare();
        // SAFETY: this thread has locked it.
        let entries = unsafe { &*self.entries.data_ptr() };
        entries.values().filter_map(Source::published).for_each(|metrics| metrics.prepare());
    }

    unsafe fn parent(&self) {
        // SAFETY: this thread has locked it, and what is in it.
        unsafe {
            let entries = &*self.entries.data_ptr();
            entries.values().filter_map(Source::published).for_each(|metrics| metrics.parent());
            self.entries.parent();
        }
    }

    unsafe fn child(&self) {
        // SAFETY: as above, and the caller is alone.
        unsafe {
            let entries = &*self.entries.data_ptr();
            entries.values().filter_map(Source::published).for_each(|metrics| metrics.child());
            self.entries.child();
        }
    }
}

/// Says how a pool of one thread does: see [`Registry::publish`]. When it goes, the pool's name is free again.
#[derive(Debug)]
pub struct Publisher {
    metrics: Arc<Published>,
}

impl Publisher {
    /// Makes the figures of this moment known: as dear as [`Inspect::metrics`].
    pub fn publish(&self, pool: &impl Inspect) {
        let metrics = pool.metrics();
        *self.metrics.lock() = Some(metrics);
    }
}
