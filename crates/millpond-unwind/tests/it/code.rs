//! Code that is made while the program runs, as by a just-in-time compiler: there are no rules for it.

use std::ptr::null_mut;

use millpond_unwind::GUESSED;

use crate::support::{check, compared, frames, stack};

type Enter = unsafe extern "C" fn(extern "C" fn());

/// Makes executable code.
fn code(bytes: &[u8]) -> Enter {
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: the kernel chooses the address, and there is room for the code, which has this type.
    unsafe {
        let place = libc::mmap(null_mut(), 4096, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(place, libc::MAP_FAILED);
        place.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        std::mem::transmute::<*mut libc::c_void, Enter>(place)
    }
}

/// push rbp; mov rbp, rsp; call rdi; pop rbp; ret
const WITH_FRAME_POINTER: [u8; 8] = [0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3];

/// push rbp; mov rbp, NUMBER; call rdi; pop rbp; ret
fn with_another_use_of_rbp(number: u64) -> Vec<u8> {
    [&[0x55, 0x48, 0xbd][..], &number.to_ne_bytes(), &[0xff, 0xd7, 0x5d, 0xc3]].concat()
}

#[test]
fn frames_beyond_code_without_rules_are_marked() {
    compared(20, || {
        let enter = code(&WITH_FRAME_POINTER);
        for _ in 0..20 {
            // SAFETY: the code calls its argument.
            unsafe { enter(check) };
        }
        static FOUND: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        extern "C" fn look() {
            FOUND.store(stack(1000), std::sync::atomic::Ordering::Relaxed);
        }
        // SAFETY: the code calls its argument.
        unsafe { enter(look) };
        let (found, cut) = frames(FOUND.load(std::sync::atomic::Ordering::Relaxed));
        let guessed = found.iter().filter(|&ip| ip & GUESSED != 0).count();
        assert!(!cut && guessed == found.len() - 2 && guessed > 3, "{found:x?}");
        assert_eq!(found[1] & !4095, enter as usize as u64);
    });
}

#[test]
fn nothing_outside_the_stack_is_read_after_a_guess() {
    compared(100, || {
        let local = 0_u64;
        let near = (&raw const local) as u64 & !15;
        let far =
            [0, 1, 8, 4096, u64::MAX, u64::MAX - 7, 1 << 63, check as *const () as u64, near - (1 << 16)];
        let wild = (0..100).map(|step| near + 8 * step);
        for number in far.into_iter().chain(wild).chain([near + 1, near + (1 << 22), near + (1 << 40)]) {
            // SAFETY: the code calls its argument.
            unsafe { code(&with_another_use_of_rbp(number))(check) };
        }
    });
}
