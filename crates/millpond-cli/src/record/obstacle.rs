//! Why a program yields no events.

use std::{fmt, path::PathBuf};

/// Why a program yields no events, or not all. Shown as a sentence without its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// There is no dynamic linker that could load the recorder.
    Static,
    /// It has another C library than the one that the recorder is made for.
    OtherLibrary(PathBuf),
    /// It is made for other machines, or is no program at all.
    OtherMachine,
    /// It runs with more rights than its user has, so the dynamic linker ignores `LD_PRELOAD`.
    Privileged,
    /// It has an allocator in it.
    OwnAllocator(&'static str),
    /// The recorder was loaded, and nothing was allocated.
    NothingAllocated,
    /// The recorder was not loaded.
    NotLoaded,
    /// The recorder was loaded, and could not do its work.
    Failed(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.write_str(
                "is statically linked, so the recorder cannot get into it: build it with dynamic linking. To record \
                 only the programs that it starts, run it through a shell: -- sh -c 'PROGRAM ARGS; exit $?'",
            ),
            Self::OtherLibrary(linker) => write!(
                f,
                "is not made for glibc (its dynamic linker is {}), as the recorder is: build it for glibc",
                linker.display()
            ),
            Self::OtherMachine => f.write_str("is not a program for this machine's processor and word size"),
            Self::Privileged => f.write_str(
                "has more rights than its user (a setuid or setgid bit), and such programs ignore LD_PRELOAD: record a \
                 copy without that bit, or as the user who owns it",
            ),
            Self::OwnAllocator(name) => write!(
                f,
                "brings its own allocator ({name}), whose blocks the recorder does not see: build it without that \
                 allocator, or with the allocator as a shared library"
            ),
            Self::NothingAllocated => f.write_str("did not allocate anything through malloc"),
            Self::NotLoaded => f.write_str(
                "did not load the recorder: perhaps something cleared its environment, or it has more rights than its \
                 user (see getcap)",
            ),
            Self::Failed(reason) => write!(f, "could not be recorded, because {reason}"),
        }
    }
}
