//! The memory mappings of the process, as the kernel lists them.

/// How far the main stack may grow, in which nothing else is mapped.
const GROWTH: u64 = 1 << 20;

/// Returns the start and the end of the readable mapping that contains an address, by `/proc/self/maps`. `read` reads
/// the next bytes of that file into a buffer and returns their number. The mapping of the main stack may begin before
/// the kernel's, because it grows.
pub fn mapping(address: u64, mut read: impl FnMut(&mut [u8]) -> usize) -> Option<(u64, u64)> {
    let mut bytes = [0; 512];
    let mut line = Line::default();
    loop {
        let count = read(&mut bytes);
        for &byte in bytes.get(..count).filter(|bytes| !bytes.is_empty())? {
            if let Some((start, end)) = line.push(byte)
                && (start..end).contains(&address)
            {
                return Some((start, end));
            }
        }
    }
}

/// A line that is being read.
#[derive(Default)]
struct Line {
    /// 0: in the start; 1: in the end; 2: before the permissions; 3: in the rest of a readable mapping; 4: of another.
    part: u8,
    start: u64,
    end: u64,
    /// The last eight bytes.
    last: [u8; 8],
}

impl Line {
    /// Appends a byte. After the last, returns the mapping if it is readable.
    fn push(&mut self, byte: u8) -> Option<(u64, u64)> {
        let [_, last @ ..] = self.last;
        for (place, byte) in self.last.iter_mut().zip(last.into_iter().chain([byte])) {
            *place = byte;
        }
        match (self.part, byte) {
            (_, b'\n') => {
                let Self { part, start, end, last } = core::mem::take(self);
                let start = if &last == b"[stack]\n" { start.saturating_sub(GROWTH) } else { start };
                return (part == 3).then_some((start, end));
            }
            (0, b'-') | (1, b' ') => self.part += 1,
            (0, digit) => self.start = self.start << 4 | hexadecimal(digit),
            (1, digit) => self.end = self.end << 4 | hexadecimal(digit),
            (2, permission) => self.part = if permission == b'r' { 3 } else { 4 },
            _ => {}
        }
        None
    }
}

fn hexadecimal(digit: u8) -> u64 {
    u64::from(if digit.is_ascii_digit() { digit - b'0' } else { digit.wrapping_sub(b'a' - 10) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
        55d0c0a00000-55d0c0a04000 r--p 00000000 fe:00 1311 /usr/bin/a [stack]ed program\n\
        55d0c0a04000-55d0c0a18000 ---p 00004000 fe:00 1311\n\
        7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n\
        7ffd2b5f2000-7ffd2b5f4000 r-xp 00000000 00:00 0                          [vdso]\n";

    fn find(address: u64, step: usize) -> Option<(u64, u64)> {
        let mut rest = MAPS;
        mapping(address, |buffer| {
            let (now, later) = rest.split_at(step.min(rest.len()).min(buffer.len()));
            rest = later;
            buffer[..now.len()].copy_from_slice(now);
            now.len()
        })
    }

    #[test]
    fn mappings_are_found_however_they_are_read() {
        for step in [1, 7, 100, 1000] {
            assert_eq!(find(0x55d0_c0a0_3fff, step), Some((0x55d0_c0a0_0000, 0x55d0_c0a0_4000)));
            assert_eq!(find(0x55d0_c0a0_4000, step), None, "not readable");
            assert_eq!(
                find(0x7ffc_0001_0000, step),
                Some((0x7ffb_fff0_0000, 0x7ffc_0002_1000)),
                "it may grow"
            );
            assert_eq!(find(0x7ffd_2b5f_3fff, step), Some((0x7ffd_2b5f_2000, 0x7ffd_2b5f_4000)));
            assert_eq!(find(0x10, step), None);
        }
    }
}
