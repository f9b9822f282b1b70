//! The code that `millpond advise` prints compiles, in C and C++, for each kind of advice.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use millpond_trace::{At, FrameKind};
use serde_json::Value;

use crate::support::{Trace, c_library, link, millpond, stdout, write_trace};

/// What a program does with the code, by the kind of advice: in C and in C++.
const USES: [(&str, &str, &str); 8] = [
    (
        "one_size",
        "mp_blocks *pool = the_pool(); void *block = mp_blocks_alloc(pool); if (!block) return 1;
         mp_blocks_free(pool, block); mp_destroy(&pool->allocator);",
        "millpond::blocks pool(the_options()); void* block = pool.alloc(64); pool.free(block, 64);",
    ),
    (
        "classes",
        "mp_classes *pool = the_pool(); void *block = mp_classes_alloc(pool, 24, 8); if (!block) return 1;
         mp_classes_free(pool, block, 24, 8); mp_destroy(&pool->allocator);",
        "millpond::resource<millpond::classes> pool(the_options()); std::pmr::vector<int> values(10, &pool);",
    ),
    (
        "thread_cache",
        "mp_classes *pool = the_pool(); void *block = mp_classes_alloc(pool, 24, 8); if (!block) return 1;
         mp_classes_free(pool, block, 24, 8); mp_destroy(&pool->allocator);",
        "millpond::resource<millpond::classes> pool(the_options()); std::pmr::vector<int> values(10, &pool);",
    ),
    (
        "remote_free",
        "mp_remote_free *pool = the_pool(); void *block = mp_alloc(&pool->allocator, 64, 8, 0); if (!block) return 1;
         mp_remote_free_return(pool, block); mp_destroy(&pool->allocator);",
        "millpond::remote_free pool(the_options()); mp_remote_free_return(pool.handle(), pool.alloc(64));",
    ),
    (
        "arena",
        "mp_linear *arena = the_arena(); if (!mp_linear_alloc(arena, 100, 8)) return 1;
         mp_destroy(&arena->allocator);",
        "the_arena arena; std::pmr::vector<int> values(10, &arena);",
    ),
    (
        "frame",
        "mp_linear *arena = the_arena(); if (!mp_linear_alloc(arena, 100, 8)) return 1;
         the_reset(arena);
         if (!mp_linear_alloc(arena, 100, 8)) return 1;
         mp_destroy(&arena->allocator);",
        "millpond::linear arena(the_options()); millpond::borrowed_resource memory(arena);
         { std::pmr::vector<int> values(10, &memory); } if (arena.reset() != MP_OK) return 1;",
    ),
    (
        "reuse",
        "void *buffer = the_buffer(10); if (!buffer || buffer != the_buffer(20)) return 1;
         the_buffer(1 << 20);",
        "the_buffer() += \"text\"; if (!the_buffer().empty()) return 1;",
    ),
    (
        "capacity",
        "size_t room; void *buffer = the_begin(&room); if (!buffer || !room) return 1;
         free(buffer);",
        "if (the_vector<int>().capacity() == 0) return 1;",
    ),
];

/// Writes the events of eight sites, one for each kind.
fn fill(writer: &mut Trace) {
    let mut site = |number: u64| At {
        stack: writer.node(0, 0x1000 * number, FrameKind::Return).unwrap(),
        ..At::default()
    };
    let sites: [At; 8] = std::array::from_fn(|number| site(number as u64 + 1));
    let [one, classes, cached, remote, arena, frame, reuse, capacity] = sites;
    let mut rings: [Vec<u32>; 3] = Default::default();
    let mut tree = Vec::new();
    for turn in 0..3000_u64 {
        let varied = 16 + turn % 5 * 40;
        let thread = (turn % 2) as u32;
        for (at, size, ring) in [(one, 64, 0), (classes, varied, 1), (At { thread, ..cached }, varied, 2)] {
            rings[ring].push(writer.allocate(at, size, 0, false).unwrap());
            if rings[ring].len() > 100 {
                // The order of a ring of 100 with two threads frees blocks of the same thread.
                writer.free(at, rings[ring].remove(0)).unwrap();
            }
        }
        let message = writer.allocate(remote, 64, 0, false).unwrap();
        writer.free(At { thread: 1, ..remote }, message).unwrap();
        tree.push(writer.allocate(arena, 40, 0, false).unwrap());
        let buffer = writer.allocate(reuse, 100, 0, false).unwrap();
        writer.free(reuse, buffer).unwrap();
        let grown = writer.allocate(capacity, 16, 0, false).unwrap();
        for size in [32, 64, 128] {
            writer.resize(capacity, grown, size).unwrap();
        }
        writer.free(capacity, grown).unwrap();
    }
    tree.into_iter().for_each(|block| writer.free(arena, block).unwrap());
    for _ in 0..30 {
        let phase: Vec<_> =
            (0..100).map(|size| writer.allocate(frame, 10 + size, 0, false).unwrap()).collect();
        phase.into_iter().for_each(|block| writer.free(frame, block).unwrap());
    }
}

#[test]
fn code_for_sites_compiles_and_runs() {
    let Some(library) = c_library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sites.mpt");
    write_trace(&trace, fill);
    let output = millpond().arg("advise").arg(&trace).arg("--json").output().unwrap();
    let report: Value = serde_json::from_str(&stdout(output)).unwrap();
    let advice: BTreeMap<_, _> = report["sites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|site| (site["advice"]["kind"].as_str().unwrap(), &site["advice"]))
        .collect();
    for (kind, c, cpp) in USES {
        let advice = advice.get(kind).unwrap_or_else(|| panic!("no site gets {kind}: {advice:#?}"));
        let main = format!("int main(void) {{ {c} return 0; }}\n");
        run(
            folder.path(),
            ("cc", "-std=c11"),
            &format!("{kind}.c"),
            advice["c"].as_str().unwrap(),
            &main,
            library,
        );
        let main =
            format!("#include <memory_resource>\n#include <vector>\nint main() {{ {cpp} return 0; }}\n");
        let code = advice["cpp"].as_str().unwrap();
        run(folder.path(), ("c++", "-std=c++17"), &format!("{kind}.cpp"), code, &main, library);
    }
}

/// Compiles the code with a main function, and runs it.
fn run(
    folder: &Path,
    (compiler, standard): (&str, &str),
    name: &str,
    code: &str,
    main: &str,
    library: &Path,
) {
    let (source, program) = (folder.join(name), folder.join("program"));
    fs::write(&source, format!("{code}\n{main}")).unwrap();
    link(compiler, &[standard], &source, &program, library);
    let ran = Command::new(&program).output().unwrap();
    assert!(ran.status.success(), "{name}: {}\n{code}", ran.status);
}
