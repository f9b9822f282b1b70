//! Tests of the templates in Rust: the code is pasted into a module and does what its comments say.

use std::alloc::Layout;

use millpond::Allocator;

/// Takes two blocks of a pool, writes to them and frees them.
fn use_pool(pool: &impl Allocator, size: usize) {
    let layout = Layout::from_size_align(size, 1).unwrap();
    let blocks = [(); 2].map(|()| pool.allocate(layout).unwrap());
    for block in blocks {
        // SAFETY: the block is live, has `size` bytes, and was allocated for this layout.
        unsafe {
            block.cast::<u8>().write_bytes(7, size);
            pool.deallocate(block.cast(), layout);
        }
    }
}

mod one_size {
    include!("templates/one_size.rs.txt");

    #[test]
    fn serves_blocks() {
        super::use_pool(&site_pool(), 4321);
    }
}

mod classes {
    include!("templates/classes.rs.txt");

    #[test]
    fn serves_blocks() {
        super::use_pool(&site_pool().unwrap(), 4321);
    }
}

mod thread_cache {
    include!("templates/thread_cache.rs.txt");

    #[test]
    fn serves_blocks_of_threads() {
        let pool = site_pool().unwrap();
        std::thread::scope(|scope| {
            for size in [24, 4321] {
                let pool = &pool;
                scope.spawn(move || super::use_pool(pool, size));
            }
        });
    }
}

mod remote_free {
    include!("templates/remote_free.rs.txt");

    #[test]
    fn serves_the_owner() {
        let pool = site_pool();
        let owner = pool.try_own().unwrap();
        super::use_pool(&owner, 4321);
    }
}

mod arena {
    include!("templates/arena.rs.txt");
    use millpond::ArenaAlloc;

    #[test]
    fn holds_values() {
        let arena = site_arena();
        assert_eq!((*arena.alloc(7), *arena.alloc(8)), (7, 8));
    }
}

mod frame {
    include!("templates/frame.rs.txt");
    use millpond::ArenaAlloc;

    #[test]
    fn phases_follow_each_other() {
        let mut arena = Arena::new();
        let sums: Vec<u64> =
            (0..3).map(|phase| site_phase(&mut arena, |arena| *arena.alloc(phase))).collect();
        assert_eq!(sums, [0, 1, 2]);
    }
}

mod reuse {
    include!("templates/reuse.rs.txt");

    #[test]
    fn the_buffer_stays_and_is_empty() {
        let first = with_site_buffer(|buffer| {
            buffer.push(1);
            (buffer.as_ptr(), buffer.capacity())
        });
        assert_eq!(with_site_buffer(|buffer| (buffer.as_ptr(), buffer.capacity())), first);
        assert!(with_site_buffer(|buffer| buffer.is_empty()) && first.1 >= 4321);
    }
}

mod capacity {
    include!("templates/capacity.rs.txt");

    #[test]
    fn there_is_room() {
        assert!(site_vec::<u64>().capacity() * 8 >= 4321);
        assert!(site_vec::<()>().is_empty());
    }
}
