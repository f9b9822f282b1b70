//! ELF files, read piece by piece.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use flate2::read::ZlibDecoder;
use object::{CompressionFormat, Object as _, ObjectSection as _, ObjectSegment as _, ReadCache};
use ruzstd::decoding::StreamingDecoder;

use crate::{build_id::BuildId, guard, module::Module};

/// What was read of a file. The files of large programs have gigabytes of which a few sections are needed.
pub(crate) type Data<'a> = &'a ReadCache<File>;
/// The headers of a file.
pub(crate) type Object<'a> = object::File<'a, Data<'a>>;

/// Max bytes of a section after decompression.
const SECTION_LIMIT: u64 = 1 << 33;
/// The granularity of mappings.
const PAGE: u64 = 4096;

/// An ELF file.
pub(crate) struct ElfFile {
    pub(crate) path: PathBuf,
    pub(crate) build_id: Option<BuildId>,
    /// Whether there is DWARF in it.
    pub(crate) has_dwarf: bool,
    data: ReadCache<File>,
}

impl ElfFile {
    /// Opens a file and reads its headers.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Opening a FIFO would wait for its other end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let data = ReadCache::new(File::open(path)?);
        let (build_id, has_dwarf) = {
            let object = parse(&data)?;
            let build_id = object.build_id().ok().flatten().and_then(BuildId::new);
            (build_id, has_content(&object, ".debug_info"))
        };
        Ok(Self { path: path.to_owned(), build_id, has_dwarf, data })
    }

    /// Returns its headers.
    pub(crate) fn object(&self) -> io::Result<Object<'_>> {
        parse(&self.data)
    }

    /// Returns a text that differs for different states of the file.
    pub(crate) fn identity(&self) -> String {
        let state = fs::metadata(&self.path).ok().and_then(|about| {
            let time = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some((about.len(), time.as_nanos()))
        });
        format!("{}:{state:?}", self.path.display())
    }
}

/// Reads the build id of a file; `None` if it has none.
///
/// # Errors
///
/// If the file cannot be read, or is not an ELF file.
pub fn build_id(path: &Path) -> io::Result<Option<BuildId>> {
    guard::without_panic(|| Ok(ElfFile::open(path)?.build_id)).unwrap_or_else(|| Err(guard::unreadable()))
}

fn parse(data: Data<'_>) -> io::Result<Object<'_>> {
    Object::parse(data).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not an ELF file"))
}

/// Returns the content of a section that has any; `None` if it is not there or unreadable.
pub(crate) fn section<'a>(object: &Object<'a>, name: &str) -> Option<Cow<'a, [u8]>> {
    let packed = object.section_by_name(name)?.compressed_data().ok()?;
    let unpacked = match packed.format {
        CompressionFormat::None => return Some(Cow::Borrowed(packed.data)),
        CompressionFormat::Zlib => unpack(ZlibDecoder::new(packed.data), packed.uncompressed_size),
        CompressionFormat::Zstandard => {
            unpack(StreamingDecoder::new(packed.data).ok()?, packed.uncompressed_size)
        }
        _ => None,
    };
    unpacked.map(Cow::Owned)
}

/// Returns whether there is a section with content that [`section`] supports; reads only its headers.
fn has_content(object: &Object<'_>, name: &str) -> bool {
    let range = object.section_by_name(name).and_then(|section| section.compressed_file_range().ok());
    range.is_some_and(|range| {
        range.format != CompressionFormat::Unknown && (1..=SECTION_LIMIT).contains(&range.uncompressed_size)
    })
}

/// Reads as many bytes as a section claims to have.
fn unpack(reader: impl io::Read, size: u64) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    let read = reader.take(size.min(SECTION_LIMIT)).read_to_end(&mut unpacked).ok()?;
    (read as u64 == size).then_some(unpacked)
}

/// Returns what to add to an offset in the file, modulo 2⁶⁴, to get the address that the linker gave to what is there.
///
/// A separate file with debug information has the addresses of segments, but not their offsets; there, the mapping is
/// taken for the one executable segment.
pub(crate) fn address_shift(object: &Object<'_>, module: &Module) -> Option<u64> {
    let segments = || object.segments().filter(|segment| segment.permissions().executable());
    let holds = |(offset, size): (u64, u64)| {
        let (first, last) = (offset & !(PAGE - 1), offset.saturating_add(size));
        (first..last).contains(&module.offset)
    };
    if let Some(segment) = segments().find(|segment| holds(segment.file_range())) {
        return Some(segment.address().wrapping_sub(segment.file_range().0));
    }
    let mut segments = segments();
    let (only, None) = (segments.next()?, segments.next()) else { return None };
    Some((only.address() & !(PAGE - 1)).wrapping_sub(module.offset))
}
