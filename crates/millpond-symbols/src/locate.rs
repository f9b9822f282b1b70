//! The files that have the names of a module.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use object::Object as _;

use crate::{build_id::BuildId, elf::ElfFile, module::Module, options::Options};

/// Files with the names of a module.
#[derive(Default)]
pub(crate) struct Located {
    /// Files with the module's build id: its own, if it is there, before others; at most one has DWARF, the last.
    pub(crate) files: Vec<ElfFile>,
    /// The file that the one with DWARF shares parts with.
    pub(crate) shared: Option<ElfFile>,
    /// Why files that were found do not count, in words.
    pub(crate) notes: Vec<String>,
}

impl Located {
    /// Looks for the files of a module, as the documentation of the crate says.
    pub(crate) fn new(module: &Module, options: &Options) -> Self {
        let mut search = Search { module, options, found: Self::default() };
        search.run();
        let mut found = search.found;
        found.shared = found.dwarf().and_then(|file| shared(file, options));
        found
    }

    /// Returns the file with DWARF.
    pub(crate) fn dwarf(&self) -> Option<&ElfFile> {
        self.files.iter().find(|file| file.has_dwarf)
    }

    /// Returns a text that differs for different states of these files.
    pub(crate) fn identity(&self) -> String {
        self.files.iter().chain(&self.shared).map(|file| file.identity() + "\n").collect()
    }
}

struct Search<'a> {
    module: &'a Module,
    options: &'a Options,
    found: Located,
}

impl Search<'_> {
    fn run(&mut self) {
        let path = &self.module.path;
        // What is no path, such as `[vdso]`, has no file.
        if !path.is_absolute() {
            return;
        }
        match ElfFile::open(path) {
            Ok(file) => self.accept(file),
            Err(error) => self.found.notes.push(format!("cannot read {}: {error}", path.display())),
        }
        let candidates = [self.system(), self.linked(), self.chosen()];
        for candidate in candidates.into_iter().flatten() {
            if self.found.dwarf().is_some() {
                return;
            }
            // Most places have no such file, which is not worth a note.
            if let Ok(file) = ElfFile::open(&candidate) {
                self.accept(file);
            }
        }
        if self.found.dwarf().is_none() {
            self.download();
        }
    }

    /// Keeps a file if it is of the same build as the module.
    fn accept(&mut self, file: ElfFile) {
        if let Some(wanted) = &self.module.build_id
            && file.build_id.as_ref() != Some(wanted)
        {
            let found = file.build_id.as_ref().map_or_else(|| "none".into(), BuildId::to_string);
            let path = file.path.display();
            self.found.notes.push(format!("{path} is another build: its build id is {found}, not {wanted}"));
        } else {
            self.found.files.push(file);
        }
    }

    /// Returns the place for debug information of this build id on most systems.
    fn system(&self) -> Vec<PathBuf> {
        by_build_id(&self.options.system_debug_dir, self.module.build_id.as_ref()).into_iter().collect()
    }

    /// Returns the places where the file may be that `.gnu_debuglink` names. A build id is compared later; without one,
    /// the checksum in the link is compared here.
    fn linked(&self) -> Vec<PathBuf> {
        let Some((name, checksum)) = self.found.files.first().and_then(debug_link) else { return Vec::new() };
        let folder = self.module.path.parent().unwrap_or(Path::new("/"));
        let system = self.options.system_debug_dir.join(folder.strip_prefix("/").unwrap_or(folder));
        let mut paths = vec![folder.join(&name), folder.join(".debug").join(&name), system.join(&name)];
        if self.module.build_id.is_none() {
            paths.retain(|path| has_checksum(path, checksum).unwrap_or(false));
        }
        paths
    }

    /// Returns the places in the folders that the user named.
    fn chosen(&self) -> Vec<PathBuf> {
        let path = &self.module.path;
        let inside = path.strip_prefix("/").unwrap_or(path);
        let name = path.file_name().unwrap_or_default();
        let link = self.found.files.first().and_then(debug_link).map(|(name, _)| name);
        let with_suffix = |path: &Path| {
            let mut path = path.as_os_str().to_owned();
            path.push(".debug");
            PathBuf::from(path)
        };
        let places = |folder: &PathBuf| {
            let mut places: Vec<_> = by_build_id(folder, self.module.build_id.as_ref()).into_iter().collect();
            for path in [inside, name.as_ref()] {
                places.extend([folder.join(with_suffix(path)), folder.join(path)]);
            }
            places.extend(link.as_ref().map(|link| folder.join(link)));
            places
        };
        self.options.debug_dirs.iter().flat_map(places).collect()
    }

    /// Fetches the debug information from a server, if that is wanted.
    fn download(&mut self) {
        let (Some(debuginfod), Some(id)) = (&self.options.debuginfod, &self.module.build_id) else { return };
        match debuginfod.fetch(id) {
            Ok(path) => match ElfFile::open(&path) {
                Ok(file) => self.accept(file),
                Err(error) => self.found.notes.push(format!("cannot read {}: {error}", path.display())),
            },
            Err(reason) => self.found.notes.push(reason),
        }
    }
}

/// Returns the path of the debug information for a build id below a folder.
fn by_build_id(folder: &Path, id: Option<&BuildId>) -> Option<PathBuf> {
    Some(folder.join(".build-id").join(id?.debug_path()))
}

/// Returns the name in `.gnu_debuglink` and the checksum of the file that it names. A name is no path.
fn debug_link(file: &ElfFile) -> Option<(String, u32)> {
    let object = file.object().ok()?;
    let (name, checksum) = object.gnu_debuglink().ok()??;
    let name = std::str::from_utf8(name).ok()?;
    (!name.is_empty() && !name.contains('/')).then(|| (name.to_owned(), checksum))
}

/// Returns whether a file has this CRC-32.
fn has_checksum(path: &Path, checksum: u32) -> io::Result<bool> {
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut file = fs::File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize() == checksum),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Opens the file that `.gnu_debugaltlink` names, whose build id is in the link.
fn shared(file: &ElfFile, options: &Options) -> Option<ElfFile> {
    let object = file.object().ok()?;
    let (path, id) = object.gnu_debugaltlink().ok()??;
    let (path, id) = (Path::new(std::str::from_utf8(path).ok()?), BuildId::new(id)?);
    // Relative to the file itself, of which there may be links elsewhere.
    let folder = fs::canonicalize(&file.path).ok()?.parent()?.to_owned();
    let roots = options.debug_dirs.iter().chain([&options.system_debug_dir]);
    let mut places = vec![folder.join(path)];
    places.extend(roots.filter_map(|root| by_build_id(root, Some(&id))));
    let files = places.iter().filter_map(|path| ElfFile::open(path).ok());
    files.into_iter().find(|file| file.build_id.as_ref() == Some(&id))
}
