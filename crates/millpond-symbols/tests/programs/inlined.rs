//! Prints its mappings and, for an instruction in an inlined function, its address and the lines of the three calls that
//! lead to it.

use std::{arch::asm, hint::black_box};

pub struct Inner<T>(T);

impl<T: Copy> Inner<T> {
    #[inline(always)]
    fn here(&self, lines: &mut [u32; 3]) -> T {
        let address: u64;
        lines[0] = line!() + 3;
        // SAFETY: the instruction changes one register, which is declared.
        #[cfg(target_arch = "x86_64")]
        unsafe { asm!("lea {}, [rip]", out(reg) address) };
        // SAFETY: the instruction changes one register, which is declared.
        #[cfg(target_arch = "aarch64")]
        unsafe { asm!("adr {}, .+4", out(reg) address) };
        println!("address {address:x}");
        self.0
    }
}

#[inline(always)]
fn middle(lines: &mut [u32; 3]) -> u8 {
    lines[1] = line!() + 1;
    Inner(7).here(lines) + 1
}

#[inline(never)]
pub fn outermost(lines: &mut [u32; 3]) -> u8 {
    lines[2] = line!() + 1;
    middle(black_box(lines)) * 3
}

fn main() {
    let mut lines = [0; 3];
    black_box(outermost(&mut lines));
    println!("lines {} {} {}", lines[0], lines[1], lines[2]);
    print!("{}", std::fs::read_to_string("/proc/self/maps").unwrap());
}
