//! The code that `millpond advise` prints compiles, in C and C++, for each kind of advice.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{c_library, fill_sites, link, millpond, stdout, write_trace};

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

#[test]
fn code_for_sites_compiles_and_runs() {
    let Some(library) = c_library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sites.mpt");
    write_trace(&trace, fill_sites);
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
