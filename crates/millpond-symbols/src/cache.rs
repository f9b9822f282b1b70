//! Frames on disk, so that no address is looked up twice.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::{module::Module, options::Options, table::Table};

/// The first bytes of a file; the last is the version of the format, and of what is written.
const MAGIC: [u8; 8] = *b"millsym\x01";
/// Max bytes of a file that is read.
const FILE_LIMIT: u64 = 1 << 30;

/// The file for a build id: magic number, CRC-32 of the rest, and [`Content`] as postcard writes it.
pub(crate) struct Cache {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content<I, T> {
    /// The state of the files that the frames came from.
    identity: I,
    table: T,
}

impl Cache {
    /// Returns the file for a module; `None` if nothing is to be kept, or the module's build is unknown.
    pub(crate) fn new(options: &Options, module: &Module) -> Option<Self> {
        let (folder, id) = (options.cache.as_ref()?, module.build_id.as_ref()?);
        Some(Self { path: folder.join(id.to_string()) })
    }

    /// Returns what is known; `None` if that is nothing, is damaged, or came from files in another state.
    pub(crate) fn read(&self, identity: &str) -> Option<Table> {
        let mut bytes = Vec::new();
        File::open(&self.path).ok()?.take(FILE_LIMIT).read_to_end(&mut bytes).ok()?;
        let (checksum, content) = bytes.strip_prefix(&MAGIC)?.split_first_chunk()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let content: Content<String, Table> = postcard::from_bytes(content).ok()?;
        (content.identity == identity && content.table.is_sound()).then_some(content.table)
    }

    /// Replaces what is known. A failure costs time at the next look-up, and nothing else.
    pub(crate) fn write(&self, identity: &str, table: &Table) {
        let _ = self.try_write(identity, table);
    }

    fn try_write(&self, identity: &str, table: &Table) -> io::Result<()> {
        let content = postcard::to_stdvec(&Content { identity, table }).map_err(io::Error::other)?;
        let folder = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder)?;
        // Readers see the old file or the new one.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&MAGIC)?;
        file.write_all(&crc32fast::hash(&content).to_le_bytes())?;
        file.write_all(&content)?;
        file.persist(&self.path)?;
        Ok(())
    }
}
