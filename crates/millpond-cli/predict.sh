#!/usr/bin/env bash
# How good are the predictions of `millpond replay`? Puts the mimalloc that the replay uses under unmodified programs and
# compares what that gains with what was predicted. Needs a C compiler, jq, sqlite3, perl, and `millpond` in PATH (or in
# $MILLPOND). Usage: predict.sh [ROUNDS]
set -eu
rounds=${1:-15}
millpond=${MILLPOND:-millpond}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

host=$(rustc -vV | sed -n 's/^host: //p')
source=$(cargo metadata --format-version 1 --filter-platform "$host" --manifest-path "$here/Cargo.toml" |
    jq -r '.packages[] | select(.name == "libmimalloc-sys") | .manifest_path | rtrimstr("/Cargo.toml")')/c_src/mimalloc/v3
cc -O3 -DNDEBUG -DMI_BUILD_RELEASE -DMI_MALLOC_OVERRIDE -DMI_SHARED_LIB -DMI_SHARED_LIB_EXPORT -fvisibility=hidden \
    -ftls-model=initial-exec -fno-builtin-malloc -shared -fPIC -I"$source/include" -I"$source/src" \
    "$source/src/static.c" -o "$work/mimalloc.so"

perl "$here/assets/packages.pl" 5000000 > "$work/packages.json"
cat > "$work/insert.sql" <<'SQL'
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i+1 from n where i<100000)
insert into t select i, 'row number ' || i, i*1.5 from n;
create index tb on t(b);
SQL

# CPU time of a command in milliseconds.
cpu() {
    local TIMEFORMAT='%3U %3S'
    { time "$@" > /dev/null; } 2>&1 | awk '{ print 1000 * ($1 + $2) }'
}

median() { sort -n | awk '{ row[NR] = $1 } END { print row[int((NR + 1) / 2)] }'; }

compare() {
    local name=$1
    shift
    for _ in $(seq "$rounds"); do
        plain=$(cpu "$@")
        other=$(cpu env LD_PRELOAD="$work/mimalloc.so" "$@")
        awk -v a="$plain" -v b="$other" 'BEGIN { print 100 * (1 - b / a) }'
    done | median > "$work/gained"
    "$millpond" record -o "$work/$name.mpt" -- "$@" > "$work/output" 2>&1
    "$millpond" replay --with mimalloc --json "$work/$name.mpt" |
        jq -r --arg name "$name" --rawfile gained "$work/gained" \
            '"\($name): predicted \(.allocators[1].gain_share * 1000 | round / 10) %, gained \($gained | tonumber * 10 | round / 10) %"'
}

compare jq jq . "$work/packages.json"
compare sqlite3 sqlite3 :memory: ".read $work/insert.sql"
compare perl perl -e 'my %h; $h{"key$_"} = $_ for 1..200000; print scalar(keys %h), "\n"'
