//! What is kept on disk.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use millpond_symbols::{Options, Symbolizer};

use crate::support::{Program, frames, only, program};

/// Returns the inode of the one file in the cache, which changes when it is written.
fn written(cache: &Path) -> u64 {
    let files: Vec<_> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].metadata().unwrap().ino()
}

fn file(program: &Program, cache: &Path) -> std::path::PathBuf {
    cache.join(program.module().build_id.as_ref().unwrap().to_string())
}

#[test]
fn frames_are_kept_by_build_id() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    let cache = folder.path().join("cache/millpond/symbols");
    let options = Options { cache: Some(cache.clone()), ..only(&[]) };
    program.assert_inlined(options.clone());
    let first = written(&cache);
    program.assert_inlined(options.clone());
    assert_eq!(written(&cache), first, "nothing new was asked for");
    assert!(file(&program, &cache).exists());
    // An address that is not known yet; what is known stays.
    let other = program.address + 40;
    let symbolizer = Symbolizer::new(options.clone());
    let alone = frames(&Symbolizer::new(only(&[])).resolve(program.module(), &[other]), other);
    assert_eq!(frames(&symbolizer.resolve(program.module(), &[other]), other), alone);
    let second = written(&cache);
    assert_ne!(second, first);
    let both = symbolizer.resolve(program.module(), &[other, program.address]);
    assert_eq!((frames(&both, program.address).len(), frames(&both, other)), (3, alone));
    assert_eq!(written(&cache), second);
}

#[test]
fn damaged_files_are_ignored_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    let cache = folder.path().join("cache");
    let options = Options { cache: Some(cache.clone()), ..only(&[]) };
    program.assert_inlined(options.clone());
    let path = file(&program, &cache);
    let whole = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut damaged = vec![Vec::new(), whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat()];
    damaged.extend((0..whole.len()).step_by(7).map(flipped));
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        program.assert_inlined(options.clone());
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    // A folder that cannot be written is no obstacle.
    program.assert_inlined(Options { cache: Some("/proc/nonexistent".into()), ..only(&[]) });
}

#[test]
fn better_debug_information_replaces_what_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "g++", &[]).unwrap();
    let cache = folder.path().join("cache");
    let debug = folder.path().join("debug");
    crate::support::split(&program.path, &debug.join("program.debug"));
    let options = Options { cache: Some(cache), ..only(&[]) };
    assert_eq!(program.frames(options.clone()).len(), 1);
    program.assert_inlined(Options { debug_dirs: vec![debug], ..options });
}
