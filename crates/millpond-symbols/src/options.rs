//! Where to look.

use std::path::PathBuf;

use crate::debuginfod::Debuginfod;

/// Where to look for names.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folders with debug information, searched after the usual places.
    pub debug_dirs: Vec<PathBuf>,
    /// The folder in which a system keeps debug information. [default: `/usr/lib/debug`]
    pub system_debug_dir: PathBuf,
    /// Servers to fetch debug information from. [default: none]
    pub debuginfod: Option<Debuginfod>,
    /// A folder that keeps what was found, by build id. [default: none]
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debug_dirs: Vec::new(),
            system_debug_dir: "/usr/lib/debug".into(),
            debuginfod: None,
            cache: None,
        }
    }
}
