#!/bin/sh
# What recording costs, and whether it counts right, on programs that were not written for it:
#
#     crates/millpond-record/measure.sh [ROUNDS] [WORKLOADS]
#
# For each workload: CPU time (user and system, of the program alone) plain, under the recorder and under heaptrack's
# preloaded library, interleaved, median of ROUNDS (default 5); the cost per event and per allocation; bytes per event
# of the trace; and the number of allocations beside valgrind's. Needs GNU time, gcc (g++), jq, sqlite3, perl and
# python3; compares with heaptrack and valgrind where they are installed. What the kernel does later, such as writing
# pages to the disk, is not in these figures.
#
# The counts beside valgrind's differ by what the environment holds: perl and python3 copy each variable of it, and
# valgrind sets three (GLIBCXX_FORCE_NEW and so on) where the recorder sets one. cc1plus differs by a few from run to
# run by itself, as some of its tables are in order of addresses, which are random but under valgrind.
set -eu

rounds=${1:-5}
wanted=${2:-"jq python3 sqlite3 perl cc1plus"}
root=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
millpond=${MILLPOND:-$target/release/millpond}
[ -x "$millpond" ] || (cd "$root" && cargo build --release --quiet --package millpond-cli)

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
export TMPDIR="$here" PYTHONMALLOC=malloc
heaptrack=$(find /usr/lib /usr/local/lib -name libheaptrack_preload.so 2>/dev/null | head -n 1)

# Input, the same each time.
awk 'BEGIN {
    printf "["
    for (i = 0; i < 22000; i++)
        printf "%s{\"id\":%d,\"name\":\"user%d\",\"tags\":[\"a\",\"b\",\"%d\"],\"value\":%d.%06d,\"nested\":{\"x\":%d,\"y\":[1,2,3]}}",
            i ? "," : "", i, i, i % 7, i % 1000, i * 7919 % 1000000, i
    print "]"
}' >"$here/data.json"
awk 'BEGIN {
    print "create table t(a integer primary key, b text, c integer); begin;"
    for (i = 0; i < 100000; i++) printf "insert into t values(%d,\x27row %d\x27,%d);\n", i, i, i * 7919 % 100003
    print "commit; create index i on t(c); select count(*) from t;"
}' >"$here/rows.sql"
echo '#include <bits/stdc++.h>' >"$here/all.cc"


# The command of a workload, and how often it is repeated in one sample, so that a sample is about a second.
workload() {
    case $1 in
    jq) repeats=6 command="jq . $here/data.json" ;;
    python3) repeats=40 command="/usr/bin/python3 -c 'import json'" ;;
    sqlite3) repeats=3 command="sqlite3 :memory: '.read $here/rows.sql'" ;;
    perl) repeats=6 command="perl -e 'my %h; \$h{\$_} = \$_ x 3 for 1 .. 200000; print scalar keys %h'" ;;
    cc1plus)
        repeats=2
        command="$(g++ -print-prog-name=cc1plus) -quiet -imultiarch $(gcc -print-multiarch) -D_GNU_SOURCE"
        command="$command $here/all.cc -O2 -o $here/all.s"
        ;;
    *) echo "no workload $1" >&2 && exit 2 ;;
    esac
    # Its arguments are variables for the program.
    echo "for i in $(seq -s ' ' "$repeats"); do env \"\$@\" $command || exit; done >/dev/null" >"$here/sample.sh"
}

# Seconds of CPU time of one sample go to a file of the given name.
timed() {
    into=$1
    shift
    "$@" /usr/bin/time -a -o "$here/$into" -f '%U %S' sh "$here/sample.sh" ${variables:-}
}

# The median of the sums of the lines of a file.
median() {
    awk '{ print $1 + $2 }' "$here/$1" | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

printf '%-9s %9s %9s %9s %8s %10s %10s %8s %11s %11s\n' program 'plain s' millpond heaptrack 'events' \
    'ns/event' 'ht ns/ev.' 'B/event' allocations valgrind
for name in $wanted; do
    workload "$name"
    rm -f "$here/plain" "$here/recorded" "$here/heaptrack"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        variables='' timed plain
        variables='' timed recorded "$millpond" record --force -o "$here/out.mpt" -- 2>/dev/null
        rm -f "$here"/out*.mpt
        if [ -n "$heaptrack" ]; then
            variables="LD_PRELOAD=$heaptrack DUMP_HEAPTRACK_OUTPUT=/dev/null" timed heaptrack
        fi
        round=$((round + 1))
    done
    line=$("$millpond" record -o "$here/one.mpt" -- sh -c "exec $command" 2>&1 >/dev/null | grep '^millpond: recorded')
    events=$(echo "$line" | sed 's/.*recorded \([0-9,]*\) events.*/\1/; s/,//g')
    allocations=$(echo "$line" | sed 's/.*(\([0-9,]*\) allocations.*/\1/; s/,//g')
    bytes=$(stat -c %s "$here/one.mpt")
    counted=-
    if command -v valgrind >/dev/null; then
        counted=$(eval "valgrind $command" 2>&1 >/dev/null | sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' | tr -d ,)
    fi
    theirs=-
    [ -n "$heaptrack" ] && theirs=$(median heaptrack)
    awk -v name="$name" -v plain="$(median plain)" -v ours="$(median recorded)" -v theirs="$theirs" -v events="$events" \
        -v bytes="$bytes" -v allocations="$allocations" -v counted="${counted:--}" -v repeats="$repeats" 'BEGIN {
        percent = sprintf("+%.1f%%", (ours / plain - 1) * 100)
        others = theirs == "-" ? "-" : sprintf("+%.0f%%", (theirs / plain - 1) * 100)
        each = (ours - plain) / repeats / events * 1e9
        other = theirs == "-" ? "-" : sprintf("%.0f", (theirs - plain) / repeats / events * 1e9)
        printf "%-9s %9.3f %9s %9s %8d %10.1f %10s %8.2f %11d %11s\n", name, plain / repeats, percent, others, events, each, other, bytes / events, allocations, counted
    }'
done
