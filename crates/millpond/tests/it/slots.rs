//! Collections with keys: no key finds another's value, nothing moves, and each value is dropped exactly once.

use std::{
    cell::RefCell,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

use fastrand::Rng;
use millpond::{
    AllocError, Buffer, Inspect, Key, Linear, Local, Locked, SharedSlots, Slots, Tlsf, guard::Stats,
    observe::InspectExt,
};

use crate::{cached::alone, tracking_parent::TrackingParent};

/// Records its name when it is dropped; panics while doing so if its flag is set.
struct Noisy<'a>(u32, &'a RefCell<Vec<u32>>, bool);

impl Drop for Noisy<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
        assert!(!self.2, "a destructor panics");
    }
}

pub(crate) fn unwinds<R>(work: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

/// Returns the file and line in the panic message of `work`, if it panics.
fn place_of_panic(work: impl FnOnce()) -> Option<(String, u32)> {
    static HOOK: Once = Once::new();
    thread_local!(static PLACE: RefCell<Option<(String, u32)>> = const { RefCell::new(None) });
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            PLACE.set(info.location().map(|place| (place.file().to_owned(), place.line())));
            usual(info);
        }));
    });
    PLACE.take();
    unwinds(work).then(|| PLACE.take()).flatten()
}

#[test]
fn keys_and_slots_have_the_documented_size() {
    assert_eq!((size_of::<Key<String>>(), size_of::<Option<Key<String>>>()), (8, 8));
    assert_eq!((Slots::<u32>::SLOT_SIZE, Slots::<u64>::SLOT_SIZE), (16, 20));
    assert_eq!((Slots::<[u64; 8]>::SLOT_SIZE, Slots::<()>::SLOT_SIZE), (76, 12));
    const { assert!(SharedSlots::<[u64; 8]>::SLOT_SIZE <= 72) };
}

/// Random insertions, removals and reads, compared with maps of the live values and of all keys that ever existed.
fn play(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut slots = Slots::new_in(TrackingParent::default());
    let mut live: HashMap<Key<u64>, (u64, *const u64)> = HashMap::new();
    let mut stale: Vec<Key<u64>> = Vec::new();
    for step in 0..4000 {
        match rng.u8(0..20) {
            0..10 => {
                let key = slots.insert(step);
                let place = slots.get(key).map(std::ptr::from_ref).expect("it was just inserted");
                assert!(live.insert(key, (step, place)).is_none() && !stale.contains(&key));
            }
            10..17 if !live.is_empty() => {
                let nth = rng.usize(0..live.len());
                let key = *live.keys().nth(nth).expect("there are that many");
                let value = live.remove(&key).map(|(value, _)| value);
                assert_eq!(slots.remove(key), value);
                stale.push(key);
            }
            17 if rng.u8(0..20) == 0 => {
                let divisor = rng.u64(2..5);
                slots.retain(|_, value| *value % divisor != 0);
                stale.extend(live.extract_if(|_, (value, _)| *value % divisor == 0).map(|(key, _)| key));
            }
            18 if rng.u8(0..40) == 0 => {
                let mut drained: Vec<u64> = slots.drain().take(rng.usize(0..9)).collect();
                assert!(drained.iter().all(|value| live.values().any(|(known, _)| known == value)));
                drained.clear();
                stale.extend(live.drain().map(|(key, _)| key));
            }
            19 if rng.u8(0..40) == 0 => {
                slots.clear();
                stale.extend(live.drain().map(|(key, _)| key));
            }
            _ => {}
        }
        assert_eq!(slots.len(), live.len());
        if step % 16 == 0 {
            slots.check().expect("sound");
            for (key, (value, place)) in &live {
                let found = slots.get(*key).expect("it is live");
                assert!(found == value && std::ptr::eq(found, *place), "values stay put");
            }
            assert!(stale.iter().all(|&key| slots.get(key).is_none() && !slots.contains(key)));
            let listed: HashMap<_, _> = slots.iter().map(|(key, value)| (key, *value)).collect();
            assert!(listed.len() == live.len() && listed.iter().all(|(key, value)| live[key].0 == *value));
        }
    }
    assert!(stale.iter().all(|&key| slots.remove(key).is_none()));
}

#[test]
fn random_use_agrees_with_a_map() {
    for seed in 0..4 {
        play(seed);
    }
}

#[test]
fn foreign_keys_do_no_harm() {
    let _turn = alone();
    let mut large = Slots::new();
    let keys: Vec<_> = (0..5000).map(|number| large.insert(number)).collect();
    let mut small = Slots::new();
    small.insert(1);
    assert!(keys[1..].iter().all(|&key| small.get(key).is_none() && small.get_mut(key).is_none()));
    let shared = SharedSlots::new();
    shared.insert(1);
    assert!(keys[1..].iter().all(|&key| shared.get(key).is_none() && !shared.remove(key)));
    let far = Key::from_bits(u64::from(u32::MAX) << 32 | 25 << 27)
        .expect("a place in the last segment, and an odd generation");
    assert!(small.get(far).is_none() && shared.get(far).is_none() && !shared.contains(far));
}

#[test]
fn values_are_changed_in_place_and_listed_in_order() {
    let mut slots: Slots<u32> = Slots::default();
    slots.reserve(100).expect("the heap has room");
    let room = slots.capacity();
    let keys: Vec<_> = (0..100).map(|number| slots.insert_with(|key| key.index() + number)).collect();
    assert_eq!(slots.capacity(), room);
    slots.iter_mut().for_each(|(_, value)| *value += 1);
    *slots.get_mut(keys[3]).expect("it is there") = 0;
    slots.remove(keys[5]);
    let values: Vec<_> = slots.iter().map(|(_, value)| *value).take(6).collect();
    assert_eq!(values, [1, 3, 5, 0, 9, 13]);
    assert_eq!(slots.iter().next_back().map(|(key, _)| key), Some(keys[99]));
    assert_eq!(slots.drain().len(), 99);
    assert!(slots.is_empty() && slots.drain().next().is_none());
}

/// From both ends, with any number of vacant slots between occupied ones, in several segments.
#[test]
fn iterators_meet_across_vacant_slots() {
    for step in [1, 2, 3, 7, 8, 9, 31, 32, 33, 100, 999] {
        let mut slots = Slots::new();
        let keys: Vec<_> = (0..1000).map(|number| slots.insert(number)).collect();
        slots.retain(|_, value| *value % step == 0);
        let left: Vec<usize> = (0..1000).step_by(step).collect();
        assert!(slots.values().copied().eq(left.iter().copied()), "forwards, one in {step}");
        assert!(slots.values().rev().copied().eq(left.iter().rev().copied()), "backwards, one in {step}");
        let mut random = fastrand::Rng::with_seed(step as u64);
        let (mut both, mut expected) = (slots.iter_mut(), left.iter());
        loop {
            assert_eq!(both.len(), expected.len());
            let (found, wanted) = match random.bool() {
                true => (both.next(), expected.next()),
                false => (both.next_back(), expected.next_back()),
            };
            assert_eq!(found.map(|(key, value)| (key, *value)), wanted.map(|&value| (keys[value], value)));
            if wanted.is_none() {
                break;
            }
        }
        slots.check().expect("sound");
    }
}

/// Whether values are taken to the end, in part, or not at all: no key finds a value, and the slots are used again.
#[test]
fn drained_collection_is_empty() {
    let live = std::rc::Rc::new(());
    let mut slots = Slots::new();
    for taken in [0, 1, 50, 100] {
        let keys: Vec<_> = (0..100).map(|_| slots.insert(live.clone())).collect();
        let mut drain = slots.drain();
        assert_eq!(drain.by_ref().take(taken).count() + drain.len(), 100);
        drop(drain);
        assert_eq!(std::rc::Rc::strong_count(&live), 1);
        assert!(slots.is_empty() && keys.iter().all(|&key| slots.get(key).is_none()));
        slots.check().expect("sound");
    }
    let keys: Vec<_> = (0..100).map(|_| slots.insert(live.clone())).collect();
    let capacity = slots.capacity();
    std::mem::forget(slots.drain());
    assert!(slots.is_empty() && keys.iter().all(|&key| slots.remove(key).is_none()));
    assert_eq!(std::rc::Rc::strong_count(&live), 101, "the values leaked, and none was dropped");
    (0..100).for_each(|_| _ = slots.insert(live.clone()));
    assert_eq!(slots.capacity(), capacity);
    assert_eq!(slots.into_iter().skip(30).count(), 70);
    // SAFETY: a hundred clones were leaked, and nothing else refers to them.
    (0..100).for_each(|_| unsafe { std::rc::Rc::decrement_strong_count(std::rc::Rc::as_ptr(&live)) });
    assert_eq!(std::rc::Rc::strong_count(&live), 1);
}

#[test]
fn keys_and_values_iterators() {
    let mut slots = Slots::new();
    let keys: Vec<_> = (0..40).map(|number| slots.insert(number)).collect();
    keys.iter().step_by(2).for_each(|&key| assert!(slots.remove(key).is_some()));
    slots.values_mut().for_each(|value| *value += 100);
    let left: Vec<_> = keys.into_iter().skip(1).step_by(2).collect();
    assert!(slots.keys().eq(left.iter().copied()) && slots.keys().rev().eq(left.iter().rev().copied()));
    assert!(slots.values().copied().eq((101..140).step_by(2)));
    assert!(slots.values().rev().copied().eq((101..140).step_by(2).rev()));
    assert!(slots.values_mut().rev().map(|value| *value).eq((101..140).step_by(2).rev()));
    slots.clear();
    assert!(slots.keys().next().is_none() && slots.values().next().is_none());
}

/// From both ends, by shared reference, by mutable reference, and by value: values that are not taken are dropped.
#[test]
fn all_iterators() {
    let mut slots: Slots<u32> = (0..70).collect();
    slots.retain(|_, value| *value % 3 != 0);
    for (_, value) in &mut slots {
        *value += 1000;
    }
    let values = || (0..70).filter(|value| value % 3 != 0).map(|value| value + 1000);
    assert!((&slots).into_iter().map(|(_, value)| *value).eq(values()));
    assert!((&slots).into_iter().all(|(key, value)| slots.get(key) == Some(value)));
    let mut both = slots.iter();
    let ends = [both.next(), both.next_back(), both.next(), both.next_back()];
    assert_eq!(
        ends.map(|end| end.map(|(_, value)| *value)),
        [Some(1001), Some(1068), Some(1002), Some(1067)]
    );
    assert_eq!((both.len(), both.count()), (42, 42));
    assert_eq!((slots.iter_mut().len(), slots.iter_mut().rev().count()), (46, 46));
    assert_eq!((slots.keys().len(), slots.values().len()), (46, 46));
    slots.extend([1, 2]);
    assert_eq!((slots.len(), slots.into_iter().rev().len()), (48, 48));

    let dropped = RefCell::default();
    let mut slots = Slots::new();
    slots.extend((0..6).map(|name| Noisy(name, &dropped, false)));
    let mut taken = slots.into_iter();
    let ends = [taken.next(), taken.next_back()].map(|end| end.map(|(key, value)| (key.index(), value.0)));
    assert_eq!((ends, taken.len()), ([Some((0, 0)), Some((5, 5))], 4));
    drop(taken);
    assert_eq!(dropped.take(), [0, 5, 1, 2, 3, 4]);
}

/// The held bytes are those that the parent handed out; live, free and other bytes are shown.
#[test]
fn metrics_and_heap_maps() {
    let parent = Local::new(Stats::new(Tlsf::new()));
    let mut slots = Slots::new_in(&parent);
    assert_eq!(slots.metrics(), Slots::<u64>::new().metrics());
    let keys: Vec<_> = (0u64..100).map(|number| slots.insert(number)).collect();
    keys[..30].iter().for_each(|&key| assert!(slots.remove(key).is_some()));
    let metrics = slots.metrics();
    assert_eq!((metrics.live_blocks, metrics.live, metrics.free), (Some(70), 70 * 8, (124 - 70) * 8));
    assert_eq!((Some(metrics.chunks), metrics.largest_free), (parent.metrics().live_blocks, Some(8)));
    assert_eq!(Some(metrics.held), parent.metrics().requested);
    let map = slots.heap_map(1000);
    let total = map.view().total();
    assert_eq!((total.live, total.free, total.fresh), (70 * 8, 30 * 8, 24 * 8));
    assert_eq!(map.view().held(), metrics.held);
    let value = slots.get(keys[99]).map(std::ptr::from_ref).expect("it is there");
    assert!(slots.owns(value.cast()) && !slots.owns((&raw const slots).cast()));
    slots.clear();
    assert_eq!(slots.heap_map(8).view().total().fresh, 124 * 8);
    Inspect::check(&slots).expect("sound");

    let _turn = alone();
    let parent = Locked::<_, _>::new(Stats::new(Tlsf::new()));
    let slots = SharedSlots::<u64, _>::new_in(&parent);
    let keys: Vec<_> = (0..100).map(|number| slots.insert(number)).collect();
    let read = slots.get(keys[0]);
    keys[..80].iter().for_each(|&key| assert!(slots.remove(key)));
    let (metrics, size) = (slots.metrics(), SharedSlots::<u64>::SLOT_SIZE);
    assert_eq!((metrics.live_blocks, metrics.live), (Some(20), 21 * size), "one is removed, and read");
    assert_eq!((metrics.free, metrics.largest_free), ((124 - 21) * size, Some(size)));
    assert_eq!((Some(metrics.chunks), Some(metrics.held)), {
        let parent = parent.metrics();
        (parent.live_blocks, parent.requested)
    });
    let map = slots.heap_map(1000);
    let total = map.view().total();
    assert_eq!((total.live, total.free, total.fresh), (21 * size, 79 * size, 24 * size));
    assert_eq!(map.view().held(), metrics.held);
    assert!(read.as_deref().is_some_and(|value| slots.owns(std::ptr::from_ref(value).cast())));
    Inspect::check(&slots).expect("sound");
}

#[test]
fn index_operator_panics_on_a_stale_key() {
    let mut slots = Slots::new();
    let [stale, live] = [1, 2].map(|number| slots.insert(number));
    slots[live] *= 10;
    slots.remove(stale);
    let again = slots.insert(3);
    assert_eq!((again.index(), slots[again], slots[live]), (stale.index(), 3, 20));
    assert!(unwinds(|| slots[stale]));
    assert!(unwinds(|| slots[stale] = 4));
    assert_eq!((slots[again], slots[live], slots.len()), (3, 20, 2));
    slots.check().expect("sound");
}

/// The panic names the line that used the key, and not one of the library.
#[test]
fn stale_index_is_reported_where_it_was_used() {
    let mut slots = Slots::new();
    let key = slots.insert(1);
    slots.remove(key);
    let place = place_of_panic(|| assert_ne!(slots[key], 1));
    assert_eq!(place, Some((file!().to_owned(), line!() - 1)));
    let place = place_of_panic(|| slots[key] = 2);
    assert_eq!(place, Some((file!().to_owned(), line!() - 1)));
}

/// After `clear`, slots are filled again from the first on, and no old key finds a new value.
#[test]
fn clear_invalidates_all_keys() {
    for count in [1, 31, 32, 33, 5000] {
        let mut slots = Slots::new();
        let old: Vec<_> = (0..count).map(|number| slots.insert(number)).collect();
        slots.remove(old[count / 2]);
        slots.clear();
        slots.check().expect("sound");
        assert!(slots.is_empty() && old.iter().all(|&key| slots.get(key).is_none()));
        let room = slots.capacity();
        let new: Vec<_> = (0..count).map(|number| slots.insert(number + 1)).collect();
        slots.check().expect("sound");
        assert!(old.iter().all(|&key| slots.get(key).is_none()) && slots.capacity() == room);
        assert!(new.iter().zip(0..).all(|(&key, number)| {
            key.index() == number && slots.get(key) == Some(&(number as usize + 1))
        }));
        slots.clear();
        let half = slots.insert(7);
        assert_eq!((slots.iter().count(), slots.get(half), slots.get(new[0])), (1, Some(&7), None));
        slots.check().expect("sound");
    }
}

#[test]
fn zero_sized_values() {
    let mut slots = Slots::new();
    let keys = [slots.insert(()), slots.insert(())];
    assert_ne!(keys[0], keys[1]);
    assert_eq!((slots.remove(keys[0]), slots.remove(keys[0]), slots.len()), (Some(()), None, 1));
}

#[test]
fn refusing_parent_changes_nothing() {
    let _turn = alone();
    // A segment takes two requests, and finding out whether there is room for a shorter one takes a few.
    let parent = TrackingParent::failing(2..30);
    let mut slots = Slots::new_in(&parent);
    let keys: Vec<_> = (0..4).map(|number| slots.insert(number)).collect();
    assert_eq!(slots.try_insert(4).map_err(Into::into), Err(AllocError::Exhausted));
    assert_eq!(slots.reserve(1), Err(AllocError::Exhausted));
    let next = loop {
        match slots.try_insert(5) {
            Ok(key) => break key,
            Err(error) => assert_eq!(AllocError::from(error), AllocError::Exhausted),
        }
        slots.check().expect("sound");
        assert_eq!(slots.len(), 4);
    };
    assert_eq!((slots.get(next), slots.get(keys[3]), slots.len()), (Some(&5), Some(&3), 5));
    drop(slots);
    assert_eq!(parent.out(), 0);

    let mut memory = [std::mem::MaybeUninit::uninit(); 1000];
    let arena = Locked::<_, _>::new_in(Linear::new(), Buffer::new(&mut memory));
    let shared = SharedSlots::<u64, _>::new_in(&arena);
    let inserted = std::iter::from_fn(|| shared.try_insert(1).ok()).count();
    assert!((40..60).contains(&inserted), "a second segment is as long as what is left: {inserted}");
}

#[test]
fn panic_in_a_constructor_changes_nothing() {
    let mut slots = Slots::new();
    let key = slots.insert(1);
    assert!(unwinds(|| slots.insert_with(|_| panic!("no value"))));
    slots.remove(key);
    assert!(unwinds(|| slots.insert_with(|_| panic!("no value"))));
    slots.check().expect("sound");
    assert!(slots.is_empty());
}

/// Each value is dropped once, whichever destructor panics and however the values are dropped.
#[test]
fn panic_in_a_destructor_drops_the_rest() {
    type Way = fn(Slots<Noisy<'_>, &Local<Stats<Tlsf>>>);
    let ways: [Way; 4] = [
        |slots| drop(slots),
        |mut slots| slots.clear(),
        |mut slots| drop(slots.drain().nth(2)),
        |mut slots| slots.retain(|_, _| false),
    ];
    for way in ways {
        let dropped = RefCell::default();
        let memory = Local::new(Stats::new(Tlsf::new()));
        let mut slots = Slots::new_in(&memory);
        for name in 0..6 {
            slots.insert(Noisy(name, &dropped, name == 3));
        }
        assert!(unwinds(|| way(slots)));
        let mut names = dropped.take();
        names.sort_unstable();
        assert_eq!(names, [0, 1, 2, 3, 4, 5]);
        assert_eq!(memory.metrics().live_blocks, Some(0), "all memory went back");
    }

    let dropped = RefCell::default();
    let mut slots = Slots::new();
    let key = slots.insert(Noisy(1, &dropped, true));
    assert!(unwinds(|| drop(slots.remove(key))));
    assert!(slots.is_empty() && slots.get(key).is_none());
    slots.check().expect("sound");
}

#[test]
fn values_with_keys_form_a_graph() {
    struct Node {
        name: u32,
        edges: Vec<Key<Node>>,
    }
    let mut graph = Slots::new();
    let nodes: Vec<_> = (0..5).map(|name| graph.insert(Node { name, edges: Vec::new() })).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 0), (3, 3), (2, 4)] {
        graph.get_mut(nodes[from]).expect("it is there").edges.push(nodes[to]);
    }
    graph.remove(nodes[4]);
    let (mut seen, mut next) = (Vec::new(), vec![nodes[0]]);
    while let Some(node) = next.pop().and_then(|key| graph.get(key)) {
        if !seen.contains(&node.name) {
            seen.push(node.name);
            next.extend(node.edges.iter().copied().filter(|&edge| graph.contains(edge)));
        }
    }
    assert_eq!(seen, [0, 1, 2]);
}
