//! Modules: the program and its libraries, as the dynamic linker has loaded them.

use core::{
    ffi::{c_int, c_void},
    mem::{MaybeUninit, transmute},
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering::*},
};

use crate::cache::hash;

/// A loaded module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The address of its section `.eh_frame_hdr`; 0 if it has none.
    pub(crate) header: u64,
}

/// `struct dl_find_object` of the GNU C library, with room for what later versions add.
#[repr(C)]
struct Found {
    flags: u64,
    start: *mut c_void,
    end: *mut c_void,
    map: *mut c_void,
    header: *mut c_void,
    more: [u64; 11],
}

/// `_dl_find_object`, which takes no lock; null if the C library does not have it.
static FIND: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Looks for the function of the C library that finds modules without a lock (glibc 2.35). Without it, or before this
/// call, modules are found by `dl_iterate_phdr`, once for each new address. That takes a lock: if a signal handler comes
/// just then and leaves by `siglongjmp`, the lock is never released.
///
/// Calls `dlsym`, which may allocate: not in a signal handler.
pub fn prepare() {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    FIND.store(found, Relaxed);
}

/// Has modules found by `dl_iterate_phdr` although the C library has something better, to test that.
pub fn prepare_without_search() {
    FIND.store(null_mut(), Relaxed);
}

impl Module {
    /// Returns the module that contains an address.
    pub(crate) fn containing(pc: u64) -> Option<Self> {
        let find = FIND.load(Relaxed);
        if find.is_null() {
            let mut search = Search { pc, found: None };
            // SAFETY: the function is called during this call only, with this argument.
            unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
            return search.found;
        }
        // SAFETY: the C library's function of this name has this type.
        let find =
            unsafe { transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, *mut Found) -> c_int>(find) };
        let mut found = MaybeUninit::<Found>::uninit();
        let address = core::ptr::without_provenance_mut(pc as usize);
        // SAFETY: `found` is valid for the result, and is initialised if that is 0.
        let found = unsafe { (find(address, found.as_mut_ptr()) == 0).then(|| found.assume_init()) }?;
        Some(Self {
            start: found.start as u64,
            end: found.end as u64,
            header: found.header.expose_provenance() as u64,
        })
    }

    /// Returns a number that most likely differs between two modules at the same place.
    fn fingerprint(&self) -> u64 {
        let words = ((self.end - self.header) / 8).min(16);
        let mut sum = hash(self.header, self.end);
        for word in 0..if self.header == 0 { 0 } else { words } {
            // SAFETY: the header is in the module's memory, from its start to the end of the module.
            let next = unsafe {
                core::ptr::with_exposed_provenance::<u64>((self.header + 8 * word) as usize).read_unaligned()
            };
            sum = hash(sum, next).rotate_left(23);
        }
        sum
    }
}

/// The argument of [`look`].
struct Search {
    pc: u64,
    found: Option<Module>,
}

/// Notes the module if it contains the address.
unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: the C library passes valid information, and the argument of `dl_iterate_phdr`.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    // SAFETY: the information says how many there are.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let mut module = Module { start: u64::MAX, end: 0, header: 0 };
    let mut contains = false;
    for header in headers {
        let start = info.dlpi_addr.wrapping_add(header.p_vaddr);
        let end = start.wrapping_add(header.p_memsz);
        match header.p_type {
            libc::PT_LOAD => {
                contains |= (start..end).contains(&search.pc);
                module.start = module.start.min(start);
                module.end = module.end.max(end);
            }
            libc::PT_GNU_EH_FRAME => module.header = start,
            _ => {}
        }
    }
    if contains {
        search.found = Some(module);
    }
    contains.into()
}

/// Number of modules that are remembered.
const MOST: usize = 1024;

/// The modules that were met so far, to notice that one has taken the place of another: the C library unloads some of
/// its own without a call of `dlclose`.
#[repr(C)]
pub(crate) struct Met {
    count: AtomicU32,
    modules: [Place; MOST],
}

#[repr(C)]
struct Place {
    start: AtomicU64,
    end: AtomicU64,
    fingerprint: AtomicU64,
}

impl Met {
    /// Notes a module; returns whether it took the place of another.
    pub(crate) fn meet(&self, module: &Module) -> bool {
        let fingerprint = module.fingerprint();
        let (mut replaced, mut known) = (false, false);
        let count = self.count.load(Acquire) as usize;
        for place in self.modules.iter().take(count) {
            let (start, end) = (place.start.load(Relaxed), place.end.load(Relaxed));
            if start < module.end && module.start < end {
                let same = start == module.start && place.fingerprint.load(Relaxed) == fingerprint;
                known |= same;
                if !same {
                    replaced = true;
                    place.end.store(0, Relaxed);
                }
            }
        }
        if !known {
            self.add(module, fingerprint);
        }
        replaced
    }

    fn add(&self, module: &Module, fingerprint: u64) {
        let free = self.modules.iter().find(|place| {
            place.end.load(Relaxed) == 0 && place.end.compare_exchange(0, 1, AcqRel, Relaxed).is_ok()
        });
        if let Some(place) = free {
            place.start.store(module.start, Relaxed);
            place.fingerprint.store(fingerprint, Relaxed);
            place.end.store(module.end, Release);
            let index = (&raw const *place as usize - self.modules.as_ptr() as usize) / size_of::<Place>();
            self.count.fetch_max(index as u32 + 1, AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same_modules() {
        let here = both_ways_find_the_same_modules as *const () as u64;
        let pcs = [here, libc::getpid as *const () as u64, libc::dlsym as *const () as u64];
        let slow = pcs.map(Module::containing);
        prepare();
        let quick = pcs.map(Module::containing);
        for (slow, quick, pc) in
            std::iter::zip(slow, quick).zip(pcs).map(|((a, b), pc)| (a.unwrap(), b.unwrap(), pc))
        {
            assert_eq!(slow.header, quick.header);
            assert!((slow.start..slow.end).contains(&pc) && (quick.start..quick.end).contains(&pc));
        }
        assert_eq!(Module::containing(8), None);
    }

    #[test]
    fn a_module_in_the_place_of_another_is_noticed() {
        // SAFETY: all zeros are a valid value.
        let met: std::boxed::Box<Met> = unsafe { std::boxed::Box::new(core::mem::zeroed()) };
        let words = [[1_u64; 32], [2; 32]];
        let module = |which: usize, start: u64| {
            let header = words[which].as_ptr() as u64;
            Module { start, end: words[1].as_ptr_range().end as u64, header }
        };
        let start = words[0].as_ptr() as u64;
        assert!(!met.meet(&module(0, start)));
        assert!(!met.meet(&module(0, start)), "the same");
        assert!(met.meet(&module(1, start)), "another header");
        assert!(!met.meet(&module(1, start)));
        assert!(met.meet(&module(1, start - 4096)), "another start");
        assert_eq!(met.count.load(Relaxed), 1, "places are reused");
    }
}
