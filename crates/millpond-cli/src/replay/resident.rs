//! The resident pages of a worker process that are memory of its own.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    ops::Range,
};

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Bytes of the entry of a page, and the bits that say that it is in memory, or in swap space.
const ENTRY: usize = 8;
const IS_HELD: u64 = 0b11 << 62;

/// Returns the numbers of these pages as ascending ranges; `None` if the system does not say.
pub(super) fn pages(process: u32) -> Option<Vec<Range<u64>>> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut entries = File::open(format!("/proc/{process}/pagemap")).ok()?;
    let mut pages = Pages::default();
    for mapping in maps.lines().filter_map(own_memory) {
        pages.read(&mut entries, mapping)?;
    }
    Some(pages.found)
}

/// Returns the pages of a mapping if they are private memory that can be written, and neither a file nor the stack.
fn own_memory(line: &str) -> Option<Range<u64>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let file = fields.nth(3);
    let is_heap = file.is_none_or(|file| file == "[heap]" || file.starts_with("[anon"));
    let address = |text| u64::from_str_radix(text, 16).ok();
    (rights.starts_with("rw") && rights.ends_with('p') && is_heap)
        .then_some(address(start)? / PAGE..address(end)?.div_ceil(PAGE))
}

#[derive(Default)]
struct Pages {
    buffer: Vec<u8>,
    found: Vec<Range<u64>>,
}

impl Pages {
    fn read(&mut self, entries: &mut File, mapping: Range<u64>) -> Option<()> {
        entries.seek(SeekFrom::Start(mapping.start.checked_mul(ENTRY as u64)?)).ok()?;
        self.buffer.resize(1 << 20, 0);
        let mut page = mapping.start;
        while page < mapping.end {
            let wanted = (self.buffer.len() as u64).min((mapping.end - page) * ENTRY as u64) as usize;
            entries.read_exact(&mut self.buffer[..wanted]).ok()?;
            for entry in self.buffer[..wanted].as_chunks().0 {
                if u64::from_le_bytes(*entry) & IS_HELD != 0 {
                    push(&mut self.found, page);
                }
                page += 1;
            }
        }
        Some(())
    }
}

/// Adds a page after all others.
fn push(ranges: &mut Vec<Range<u64>>, page: u64) {
    match ranges.last_mut() {
        Some(last) if last.end == page => last.end += 1,
        _ => ranges.push(page..page + 1),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn only_memory_of_its_own_counts() {
        let line = "7f01-7f03 rw-p 00000000 00:00 0 ";
        assert_eq!(
            own_memory(&line.replace("7f01", "7f01000").replace("7f03", "7f03000")),
            Some(0x7f01..0x7f03)
        );
        for other in
            ["rw-s 0 00:00 0", "r--p 0 00:00 0", "rw-p 0 08:01 7 /lib/a.so", "rw-p 0 00:00 0 [stack]"]
        {
            assert_eq!(own_memory(&format!("1000-2000 {other}")), None, "{other}");
        }
        assert!(own_memory("1000-2000 rw-p 0 00:00 0 [heap]").is_some());
    }

    #[test]
    fn pages_are_resident_when_they_were_written() {
        let size = 64 * PAGE as usize;
        let mut block = vec![0_u8; size + PAGE as usize * 2];
        let first = block.as_ptr().addr().next_multiple_of(PAGE as usize);
        let offset = first - block.as_ptr().addr();
        for page in (0..64).step_by(2) {
            block[offset + page * PAGE as usize] = 1;
        }
        let block = std::hint::black_box(block);
        let Some(pages) = pages(std::process::id()) else { return };
        let is_found = |page: u64| pages.iter().any(|range| range.contains(&page));
        let first = first as u64 / PAGE;
        assert!((0..64).step_by(2).all(|page| is_found(first + page)));
        drop(block);
    }
}
