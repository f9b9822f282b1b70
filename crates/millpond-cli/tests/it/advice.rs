//! Advice in C and C++: it compiles, runs, and serves what it promises.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::{fs, path::Path, process::Command};

use millpond_trace::At;
use serde_json::Value;

use crate::support::{
    c_library, link, millpond, replay, sample, skipped, slow_tests_are_wanted, stdout, write_trace,
};

/// Takes blocks of all sizes from the pools that the advice creates.
const USES: [(&str, &str); 4] = [
    ("c", "int main(void) { return use(make_pool()); }"),
    (
        "c_huge",
        "int main(void) { int wrong = use(make_pool()); return wrong ? wrong : use(make_pool_on_huge_pages()); }",
    ),
    ("cpp", "int main() { return use(advised()); }"),
    (
        "cpp_huge",
        "int main() {
            mp_linear* chunks = make_chunks();
            if (chunks == nullptr) return 3;
            millpond::classes::options options = advised();
            options.parent = &chunks->allocator;
            int wrong = use(options);
            mp_destroy(&chunks->allocator);
            return wrong;
        }",
    ),
];

const IN_C: &str = "
#include <string.h>
static int use(mp_classes *pool) {
    enum { LARGEST = @ };
    static void *blocks[LARGEST + 1];
    if (!pool) return 1;
    for (size_t size = 1; size <= LARGEST; size++) {
        blocks[size] = pool_alloc(pool, size);
        if (!blocks[size]) return 2;
        memset(blocks[size], (int)size, size);
    }
    for (size_t size = 1; size <= LARGEST; size++) {
        if (*(unsigned char *)blocks[size] != (unsigned char)size) return 3;
        pool_free(pool, blocks[size], size);
    }
    mp_destroy(&pool->allocator);
    return 0;
}
";

const IN_CPP: &str = "
#include <memory_resource>
#include <vector>
static int use(const millpond::classes::options& options) {
    millpond::resource<millpond::classes> pool(options);
    std::pmr::vector<char> values(&pool);
    values.reserve(@);
    for (int value = 0; value < @; value++) values.push_back(static_cast<char>(value));
    for (int value = 0; value < @; value++)
        if (values[static_cast<std::size_t>(value)] != static_cast<char>(value)) return 1;
    return 0;
}
";

#[test]
fn advice_in_c_and_cpp_runs() {
    let Some(library) = c_library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (with_threads, _) = sample(folder.path());
    let with_one = folder.path().join("one.mpt");
    write_trace(&with_one, |trace| {
        for index in 0..1000 {
            trace.allocate(At { time: index, ..At::default() }, 24 + index % 3 * 16, 0, false).unwrap();
        }
    });
    for trace in [with_threads, with_one] {
        let report: Value =
            serde_json::from_str(&stdout(replay(&trace, &["--rounds", "1", "--json"]))).unwrap();
        let largest =
            report["advice"]["blocks"].as_array().unwrap().last().unwrap()["block_bytes"].to_string();
        for (field, main) in USES {
            let code = report["advice"][field].as_str().unwrap();
            assert!(code.contains("$(pkg-config --cflags --libs millpond)"), "{code}");
            let (compiler, suffix, standard, user) = match field {
                "c" | "c_huge" => ("cc", "c", "-std=c11", IN_C),
                _ => ("c++", "cpp", "-std=c++17", IN_CPP),
            };
            let (source, program) =
                (folder.path().join(format!("{field}.{suffix}")), folder.path().join(field));
            fs::write(&source, format!("{code}{}{main}\n", user.replace('@', &largest))).unwrap();
            link(compiler, &[standard], &source, &program, library);
            let ran = Command::new(&program).output().unwrap();
            assert!(ran.status.success(), "{field}: {}\n{code}", ran.status);
        }
    }
}

/// A script that makes tables of tables, and replaces some of them.
const SCRIPT: &str = "
local t = {}
for i = 1, 40000 do t[i] = {x = i, s = 's' .. i} end
local n = 0
for r = 1, 3 do
    for i = 1, #t do
        if i % 7 == r then t[i] = {x = i, s = 'r' .. r .. i} end
        n = n + #t[i].s
    end
end
print(n)
";

/// Returns the output of `millpond replay --json` for a host of Lua that is recorded with this allocator.
fn recorded(folder: &Path, host: &Path, allocator: &str) -> Value {
    let trace = folder.join("host.mpt");
    let output = millpond()
        .args(["record", "--force", "-o"])
        .args([&trace, host])
        .arg(folder.join("script.lua"))
        .env("ALLOCATOR", allocator)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let options = ["--json", "--rounds", "5", "--with", "advised"];
    serde_json::from_str(&stdout(replay(&trace, &options))).unwrap()
}

#[test]
fn advice_for_lua_saves_what_it_promises() {
    if !slow_tests_are_wanted("advice for a host of Lua") {
        return;
    }
    let Some(library) = c_library() else { return };
    if !Path::new("/usr/include/lua5.4/lua.h").exists() {
        return skipped("advice for a host of Lua", "liblua5.4-dev is not there");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("script.lua"), SCRIPT).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/advised/host.c");
    let host = folder.path().join("host");
    let make =
        |sizes: &str| link("cc", &["-O1", &format!("-DSIZES={sizes}"), "-llua5.4"], &source, &host, library);
    let run = |allocator: &str| {
        let script = folder.path().join("script.lua");
        let ran = Command::new(&host).arg(script).env("ALLOCATOR", allocator).output().unwrap();
        assert!(ran.status.success(), "{allocator}: {}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    };
    make("16");
    let before = recorded(folder.path(), &host, "malloc");
    let blocks = before["advice"]["blocks"].as_array().unwrap();
    let sizes: Vec<_> = blocks.iter().map(|block| block["block_bytes"].to_string()).collect();
    make(&sizes.join(","));
    assert_eq!(run("pool"), run("malloc"));
    let after = recorded(folder.path(), &host, "pool");
    let allocations = |report: &Value| report["trace"]["allocations"].as_f64().unwrap();
    let left = allocations(&before) * (1.0 - before["advice"]["covered_share"].as_f64().unwrap());
    assert!(allocations(&after) < left * 1.1 + 2000.0, "{} of {left}", allocations(&after));
    // Denser blocks gain more than the allocator's own time, by an unknown amount.
    let verdict = &before["verdict"];
    let (text, locality) =
        (verdict["text"].as_str().unwrap(), verdict["locality"].as_str().unwrap_or_default());
    assert!(!locality.contains("up to"), "{locality}");
    if locality.contains("denser") && text.contains("% faster") {
        assert!(text.contains("at least"), "{text}");
    }
}
