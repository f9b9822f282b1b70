#!/usr/bin/env bash
# What `millpond try` predicts, and what is gained when a program is changed: prints a table of public programs whose
# interfaces let a pool take the place of malloc. The prediction is made with the unchanged program; the pool then gets the
# block sizes that were advised. Programs take turns: in each round, each runs twice without a pool and once with it.
#
# Usage: run.sh [--write] [--sized] [ROUNDS [PROGRAM…]]
#   --write  puts the table into the guide
#   --sized  where the size has to be kept in front of each block, keeps it there in the program without the pool too
#
# Needs a C compiler, jq, and Debian's packages liblua5.4-dev, libsqlite3-dev, libjansson-dev, libgmp-dev, libxml2-dev,
# libmujs-dev and libpython3-dev; what is not there is left out. MILLPOND and MILLPOND_LIBRARY name the program and
# libmillpond_c.a; by default, they are built.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
guide=$root/crates/millpond/docs/guide.md
write= plain=malloc
[ "${1:-}" = --write ] && write=1 && shift
[ "${1:-}" = --sized ] && plain=sized && shift
rounds=${1:-11}
[ $# -gt 0 ] && shift
programs=${*:-lua sqlite jansson gmp xml2 mujs python}
target=${CARGO_TARGET_DIR:-$root/target}
if [ -z "${MILLPOND:-}" ]; then
    cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml" --package millpond-cli
    MILLPOND=$target/release/millpond
fi
if [ -z "${MILLPOND_LIBRARY:-}" ]; then
    (cd "$root" && cargo rustc --quiet --locked --package millpond-c --lib --crate-type staticlib --profile c)
    MILLPOND_LIBRARY=$target/c/libmillpond_c.a
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O2 -o "$work/peak" "$root/benches/cpp/peak.c"

# Sets what a program is called, how the pool comes in, what it links, its argument, and the bytes that its functions put
# in front of each block, because it does not say the size of a block that it frees.
describe() {
    case $1 in
    lua) title=Lua how=lua_newstate options=-llua5.4 argument=$here/script.lua header=0 ;;
    sqlite) title=SQLite how=SQLITE_CONFIG_MALLOC options=-lsqlite3 argument=$here/statements.sql header=8 ;;
    jansson) title=Jansson how=json_set_alloc_funcs options=-ljansson argument=$work/rows.json header=8 ;;
    mujs) title=MuJS how=js_newstate options="-lmujs -lm" argument=$here/script.js header=16 ;;
    gmp) title=GMP how=mp_set_memory_functions options=-lgmp argument=150 header=0 ;;
    xml2) title=libxml2 how=xmlMemSetup options="-I/usr/include/libxml2 -lxml2" argument=$work/document.xml header=8 ;;
    python) title=Python how=PyMem_SetAllocator options="$(python_options)" argument=$here/script.py header=16 ;;
    *) echo "there is no program $1" >&2 && exit 2 ;;
    esac
}

# Debian's python3, whatever else is in PATH.
python_options() {
    local version
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || return 0
    echo "-I/usr/include/python$version -lpython$version"
}

# Compiles a program with these block sizes.
build() {
    # shellcheck disable=SC2086 # several options
    cc -O2 -Wall -Wextra -DSIZES="$2" -I"$root/crates/millpond-c/include" -o "$work/$1" "$here/$1.c" "$MILLPOND_LIBRARY" \
        $options -lgcc_s -lpthread -ldl -lm
}

# The CPU time of a run in microseconds, and its peak of resident memory in KiB.
sample() { env ALLOCATOR="$2" "$work/peak" - "$work/$1" "$argument"; }

# The rounds of a program, as lines of four numbers for each run: the round, who (0 and 1 without the pool, 2 with it), CPU
# time, peak.
measure() {
    local round turn who allocators=("$plain" "$plain" pool)
    for round in $(seq 0 "$rounds"); do
        for turn in 0 1 2; do
            who=$(((round + turn) % 3))
            echo "$round $who $(sample "$1" "${allocators[who]}")"
        done
    done
}

# A row of the table from a report of `millpond try --json` and the measurements of `measure`, whose first round does not
# count. Ranges of rounds are those of `millpond`: an interval for the median with a confidence of 93 % or more, and wider
# by what two equal runs differ.
row() {
    jq -r --rawfile runs "$work/runs" --arg title "$title" --arg how "$how" '
        def percent: . * 1000 | round / 10 | tostring;
        def middle: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
        def choose($n; $k): reduce range(0; $k) as $i (1; . * ($n - $i) / ($i + 1));
        def cut: . as $n | [range(0; [$n / 2 | floor, 1] | max) | select(. as $last |
            2 * ([range(0; $last + 1) | choose($n; .)] | add) <= 0.0705 * pow(2; $n))] | max // 0;
        def interval: sort | (length | cut) as $cut | [.[$cut], middle, .[length - 1 - $cut]];
        [$runs | split("\n")[] | select(. != "") | split(" ") | map(tonumber)] as $all
        | [$all | group_by(.[0])[] | select(.[0][0] > 0) | sort_by(.[1])] as $rounds
        | ([$rounds[] | 1 - 2 * .[2][2] / (.[0][2] + .[1][2])] | interval) as $gain
        | ([$rounds[] | (.[0][2] - .[1][2]) / (.[0][2] + .[1][2])] | middle | fabs) as $chance
        | [$gain[0] - $chance, $gain[1], $gain[2] + $chance] as $gain
        | ([$rounds[] | 1 - 2 * .[2][3] / (.[0][3] + .[1][3])] | middle) as $memory
        | (.replay.allocators // [] | map(select(.name == "advised")) | first // {}).gain_share_range as $range
        | (if $range then $range.most - $range.least <= ([0.05, ($range.median | fabs) / 3] | max) else false end) as $narrow
        | (if $range | not then "cannot tell"
           elif $narrow then "\($range.least | percent) to \($range.most | percent) %"
           else "cannot tell: \($range.least | percent) to \($range.most | percent) %" end) as $predicted
        | (if $narrow | not then "-" elif $gain[1] >= $range.least and $gain[1] <= $range.most then "yes" else "no" end) as $inside
        | "| \($title) | `\($how)` | \($predicted) | \($gain[1] | percent) % (\($gain[0] | percent) to \($gain[2] | percent) %) | \($inside) | \($memory | percent) % |"
    ' "$work/report.json"
}

# A document of records, in XML and in JSON.
awk 'BEGIN {
    print "<document>"
    for (i = 0; i < 40000; i++)
        printf "<record id=\"%d\" name=\"name %d\"><value unit=\"m\">%d</value><note lang=\"en\">text %d</note></record>\n",
            i, i * 7919 % 10007, i % 977, i
    print "</document>"
}' > "$work/document.xml"
awk 'BEGIN {
    for (i = 0; i < 40000; i++)
        printf "%s{\"id\":%d,\"name\":\"name %d\",\"value\":{\"unit\":\"m\",\"of\":%d},\"notes\":[\"text %d\",true,null]}",
            i ? "," : "[", i, i * 7919 % 10007, i % 977, i
    print "]"
}' > "$work/rows.json"

{
    echo "| program | the pool comes in through | predicted by \`millpond try\` | gained (range) | inside | memory saved |"
    echo "|---|---|---|---|---|---|"
} > "$work/table"
for program in $programs; do
    describe "$program"
    # Then the recorded sizes include it.
    [ $plain = malloc ] || header=0
    if ! build "$program" 32 2> "$work/errors"; then
        echo "left out: $title, because it cannot be compiled: $(head -n 1 "$work/errors")" >&2
        continue
    fi
    echo "$title" >&2
    # As programs are timed: without a terminal or a pipe as input.
    ALLOCATOR=$plain "$MILLPOND" try --json --runs 4 --rounds "$rounds" --with advised -- "$work/$program" "$argument" \
        < /dev/null > "$work/report.json" 2> "$work/messages" || { cat "$work/messages" >&2 && exit 1; }
    build "$program" "$(jq -r "[.replay.advice.blocks[].block_bytes + $header] | join(\",\")" "$work/report.json")"
    if ! cmp -s <(ALLOCATOR=$plain "$work/$program" "$argument") <(ALLOCATOR=pool "$work/$program" "$argument"); then
        echo "$title does something else with the pool" >&2 && exit 1
    fi
    measure "$program" > "$work/runs"
    row | tee -a "$work/table" >&2
    jq -r '.no_replay // .replay.bound.doubt // empty | "no prediction: " + .' "$work/report.json" >&2
done
cat "$work/table"

if [ -n "$write" ]; then
    awk -v table="$work/table" '
        /^<!-- end of gains -->/ { inside = 0 }
        !inside { print }
        /^<!-- written by gains\/run.sh -->/ { inside = 1; while ((getline line < table) > 0) print line }
    ' "$guide" > "$work/guide" && cp "$work/guide" "$guide"
fi
