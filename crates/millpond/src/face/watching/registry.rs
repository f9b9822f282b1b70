//! The pools of a program by name.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use core::fmt;

use super::Exposition;
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
/// # Ok::<(), millpond::NameTaken>(())
/// ```
#[derive(Default)]
pub struct Registry {
    entries: Mutex<DefaultLock, BTreeMap<String, Entry>>,
}

/// How to get at the figures of a pool.
#[derive(Clone)]
enum Entry {
    Watched(Weak<dyn Inspect + Send + Sync>),
    Static(&'static (dyn Inspect + Sync)),
    Published(Weak<Published>),
}

/// What was published last.
type Published = Mutex<DefaultLock, Option<Metrics>>;

impl Entry {
    /// What was published, if that is how the figures are had.
    fn published(&self) -> Option<Arc<Published>> {
        if let Self::Published(metrics) = self { metrics.upgrade() } else { None }
    }

    fn is_there(&self) -> bool {
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
pub struct NameTaken(pub String);

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is a pool called {:?} already", self.0)
    }
}

impl core::error::Error for NameTaken {}

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
    ) -> Result<(), NameTaken> {
        let pool: Weak<P> = Arc::downgrade(pool);
        self.enter(name, Entry::Watched(pool))
    }

    /// Enters a pool in a `static`.
    ///
    /// # Errors
    ///
    /// There is another one of that name.
    pub fn watch_static(&self, name: &str, pool: &'static (dyn Inspect + Sync)) -> Result<(), NameTaken> {
        self.enter(name, Entry::Static(pool))
    }

    /// Enters a pool of one thread, whose figures are what is published last. It is there as long as the publisher is, from
    /// the first time on that something was published.
    ///
    /// # Errors
    ///
    /// There is another one of that name.
    pub fn publish(&self, name: &str) -> Result<Publisher, NameTaken> {
        let metrics = Arc::new(Mutex::new(None));
        self.enter(name, Entry::Published(Arc::downgrade(&metrics)))?;
        Ok(Publisher { metrics })
    }

    fn enter(&self, name: &str, entry: Entry) -> Result<(), NameTaken> {
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| entry.is_there());
        if entries.contains_key(name) {
            return Err(NameTaken(name.to_owned()));
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
            entries.retain(|_, entry| entry.is_there());
            entries.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect()
        };
        entries.into_iter().filter_map(|(name, entry)| Some((name, entry.read()?))).collect()
    }

    /// The figures of all pools as Prometheus reads them: see [`Exposition`].
    #[must_use]
    pub fn prometheus(&self) -> String {
        alloc::format!("{}", Exposition(&self.read()))
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
        entries.values().filter_map(Entry::published).for_each(|metrics| metrics.prepare());
    }

    unsafe fn parent(&self) {
        // SAFETY: this thread has locked it, and what is in it.
        unsafe {
            let entries = &*self.entries.data_ptr();
            entries.values().filter_map(Entry::published).for_each(|metrics| metrics.parent());
            self.entries.parent();
        }
    }

    unsafe fn child(&self) {
        // SAFETY: as above, and the caller is alone.
        unsafe {
            let entries = &*self.entries.data_ptr();
            entries.values().filter_map(Entry::published).for_each(|metrics| metrics.child());
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
