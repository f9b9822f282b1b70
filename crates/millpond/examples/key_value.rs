//! A key-value store whose keys, values and table are all in one pool, so that it cannot grow beyond its limit.
//!
//! `Classes` carves blocks of many sizes, and `Limit` bounds what the pool may take from the heap. The table is that of
//! hashbrown, which uses the pool as its allocator; keys and values are strings of any length in the same pool. When
//! memory has run out, a `set` is refused and the store is unchanged.

use std::fmt;

use hashbrown::{DefaultHashBuilder, HashMap};
use millpond::{AllocError, Classes, Heap, Local, PoolBox, guard::Limit, interop::api2_02::Exported};

/// The pool for everything.
type Memory = Local<Classes, Limit<Heap>>;
type Text<'p> = PoolBox<'p, str, Memory>;

struct Store<'p> {
    memory: &'p Memory,
    entries: HashMap<Text<'p>, Text<'p>, DefaultHashBuilder, Exported<&'p Memory>>,
}

impl<'p> Store<'p> {
    fn new(memory: &'p Memory) -> Self {
        let entries = HashMap::with_hasher_in(DefaultHashBuilder::default(), Exported(memory));
        Self { memory, entries }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|value| &**value)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), AllocError> {
        let value = PoolBox::str_in(value, self.memory)?;
        if let Some(old) = self.entries.get_mut(key) {
            *old = value;
            return Ok(());
        }
        let key = PoolBox::str_in(key, self.memory)?;
        self.entries.try_reserve(1).map_err(|_| AllocError::Limit)?;
        self.entries.insert(key, value);
        Ok(())
    }

    fn delete(&mut self, key: &str) -> bool {
        self.entries.remove(key).is_some()
    }
}

impl fmt::Display for Store<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stats, left) = (self.memory.stats(), self.memory.parent().left());
        write!(f, "{} entries, {} bytes live, {left} left to take", self.entries.len(), stats.live)
    }
}

fn main() -> Result<(), AllocError> {
    let memory = Local::new_in(Classes::new(), Limit::bytes(Heap, 256 * 1024));
    let mut store = Store::new(&memory);

    store.set("heron", "wades")?;
    store.set("kingfisher", "dives")?;
    store.set("heron", "stands still for a very long time, on one leg as often as not")?;
    for bird in ["heron", "kingfisher", "dodo"] {
        println!("get {bird}: {}", store.get(bird).unwrap_or("(nothing)"));
    }
    println!("delete kingfisher: {}, again: {}", store.delete("kingfisher"), store.delete("kingfisher"));

    let large = "x".repeat(1000);
    let mut stored = 0;
    let error = loop {
        match store.set(&format!("key {stored}"), &large) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
    };
    println!("{stored} values of 1,000 bytes later: {error}");
    println!("get heron: {}", store.get("heron").map_or("(nothing)", |text| &text[..12]));
    println!("before: {store}");
    store.entries.retain(|key, _| !key.starts_with("key "));
    println!("after : {store}");

    drop(store);
    println!("in the end: {} bytes live", memory.stats().live);
    Ok(())
}
