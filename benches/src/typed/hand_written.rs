//! Hand-written keys: the least that a checked key costs.
//!
//! Arrays for as many values as there will ever be, a generation beside each, and a stack of the keys that come next. Nothing
//! grows, no slot is retired, and nobody else's key is told apart.

use std::mem::MaybeUninit;

/// How many values there is room for.
const MOST: usize = 1 << 17;

/// A collection of values.
pub struct HandWritten<T> {
    values: Vec<MaybeUninit<T>>,
    generations: Vec<u32>,
    vacated: Vec<u64>,
    fresh: usize,
}

impl<T> HandWritten<T> {
    pub fn new() -> Self {
        let mut values = Vec::with_capacity(MOST);
        values.resize_with(MOST, MaybeUninit::uninit);
        Self { values, generations: vec![0; MOST], vacated: Vec::with_capacity(MOST), fresh: 0 }
    }

    #[inline(always)]
    pub fn insert(&mut self, value: T) -> u64 {
        let key = match self.vacated.pop() {
            Some(key) => key,
            None => {
                assert!(self.fresh < self.values.len(), "there is room");
                self.fresh += 1;
                // SAFETY: there is room.
                let generation = unsafe { *self.generations.get_unchecked(self.fresh - 1) };
                u64::from(generation | 1) << 32 | (self.fresh - 1) as u64
            }
        };
        let index = key as u32 as usize;
        // SAFETY: the index is below the length of both.
        unsafe {
            self.values.get_unchecked_mut(index).write(value);
            *self.generations.get_unchecked_mut(index) = (key >> 32) as u32;
        }
        key
    }

    /// The index of a key whose value is there.
    #[inline(always)]
    fn find(&self, key: u64) -> Option<usize> {
        let index = key as u32 as usize;
        // SAFETY: the index is below the length.
        let here =
            index < self.fresh && unsafe { *self.generations.get_unchecked(index) } == (key >> 32) as u32;
        here.then_some(index)
    }

    #[inline(always)]
    pub fn get(&self, key: u64) -> Option<&T> {
        // SAFETY: the value is there.
        self.find(key).map(|index| unsafe { self.values.get_unchecked(index).assume_init_ref() })
    }

    #[inline(always)]
    pub fn remove(&mut self, key: u64) -> Option<T> {
        let index = self.find(key)?;
        // SAFETY: the value is there, and is taken once; there is room for all keys.
        unsafe {
            *self.generations.get_unchecked_mut(index) += 1;
            let top = self.vacated.len();
            *self.vacated.as_mut_ptr().add(top) = key + (2 << 32);
            self.vacated.set_len(top + 1);
            Some(self.values.get_unchecked(index).assume_init_read())
        }
    }

    pub fn remove_all(&mut self) {
        self.generations[..self.fresh].iter_mut().for_each(|generation| *generation = (*generation + 1) & !1);
        self.vacated.clear();
        self.fresh = 0;
    }
}
