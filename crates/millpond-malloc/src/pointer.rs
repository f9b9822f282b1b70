//! Pointers of the program that are not those of live blocks.

use crate::{
    classes::SIZES,
    depot,
    misuse::{Kind, end_program},
    record::Use,
    region, span,
};

/// Reports a pointer into the region that is not that of a live block, and ends the program.
#[cold]
pub(crate) fn invalid_pointer(call: &str, address: *mut u8) -> ! {
    let unit = region::unit_of(address);
    // SAFETY: a committed unit has a record, which is only read, for a report.
    let record = region::is_committed(unit).then(|| unsafe { region::record(unit).read() });
    let Some(record) = record.filter(|record| record.usage == Use::Span) else {
        end_program(call, address, Kind::NoBlock, 0);
    };
    let class = usize::from(record.class);
    let size = SIZES[class] as usize;
    // SAFETY: the address lies in a span.
    let (place, carved) = unsafe { (span::place_of(address), depot::lock(class).has_carved(address)) };
    let kind = match (place.inside, carved) {
        (_, false) => Kind::NoBlock,
        (0, true) => Kind::DoubleFree,
        _ => Kind::Interior,
    };
    end_program(call, address, kind, size);
}
