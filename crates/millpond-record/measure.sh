#!/bin/sh
# What recording costs, and whether it counts right, on programs that were not written for it, beside heaptrack:
#
#     crates/millpond-record/measure.sh [ROUNDS] [WORKLOADS] [PREFIX]
#
# For each workload, the program runs plain, under the recorder and under heaptrack's preloaded library, one after the
# other, ROUNDS times (default 5). The table has the medians of user and system CPU time of the program alone, as
# nanoseconds per event more than plain; the bytes per event of the files that are kept; and the number of allocations
# beside valgrind's. It is printed, and written to PREFIX.txt and PREFIX.csv (default: target/recording). What is recorded
# is written to files in both cases. What millpond and heaptrack do in processes of their own afterwards or meanwhile, and
# what the kernel does later, such as writing pages to the disk, is not in these figures.
#
# Needs GNU time; of jq, python3, sqlite3, perl, lua5.4, and g++ for the others, what is missing is left out, as are the
# columns of heaptrack and valgrind.
#
# The counts beside valgrind's differ by what the environment holds: perl and python3 copy each variable of it, and
# valgrind sets three (GLIBCXX_FORCE_NEW and so on) where the recorder sets one. cc1plus differs by a few from run to
# run by itself, as some of its tables are in order of addresses, which are random except under valgrind.
set -eu

rounds=${1:-5}
wanted=${2:-"jq perl python3 sqlite3 lua cc1plus threads"}
root=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
prefix=${3:-$target/recording}
millpond=${MILLPOND:-$target/release/millpond}
[ -x /usr/bin/time ] || { echo "GNU time is not installed (on Debian, the package time)" >&2 && exit 2; }
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
cat >"$here/threads.cc" <<'SOURCE'
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>
static void work(unsigned random) {
    std::map<unsigned, std::unique_ptr<std::string>> names;
    for (int at = 0; at < 150000; at++) {
        random = random * 1664525 + 1013904223;
        names[random >> 22] = std::make_unique<std::string>(20 + (random >> 8) % 200, 'x');
    }
}
int main() {
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < 4; number++)
        threads.emplace_back(work, number);
    for (auto &thread : threads)
        thread.join();
}
SOURCE

# Sets the command of a workload, and how often it is repeated in one sample, so that a sample is about a second. Fails if
# the program is not installed.
workload() {
    case $1 in
    jq) repeats=6 command="jq . $here/data.json" ;;
    python3) repeats=40 command="/usr/bin/python3 -c 'import json'" ;;
    sqlite3) repeats=3 command="sqlite3 :memory: '.read $here/rows.sql'" ;;
    perl) repeats=6 command="perl -e 'my %h; \$h{\$_} = \$_ x 3 for 1 .. 200000; print scalar keys %h'" ;;
    lua) repeats=6 command="lua5.4 -e 'local t = {} for i = 1, 200000 do t[i % 1000] = {i, tostring(i)} end'" ;;
    threads)
        repeats=3 command="$here/threads"
        g++ -O2 -pthread -o "$here/threads" "$here/threads.cc" 2>/dev/null || return 1
        ;;
    cc1plus)
        repeats=2
        command="$(g++ -print-prog-name=cc1plus) -quiet -imultiarch $(gcc -print-multiarch) -D_GNU_SOURCE"
        command="$command $here/all.cc -O2 -o $here/all.s"
        ;;
    *) echo "no workload $1" >&2 && exit 2 ;;
    esac
    command -v "${command%% *}" >/dev/null || return 1
    # Its arguments are variables for the program.
    echo "for i in $(seq -s ' ' "$repeats"); do env \"\$@\" $command || exit; done >/dev/null" >"$here/sample.sh"
}

# Seconds of user and system CPU time of one sample go to a file of the given name.
timed() {
    into=$1
    shift
    "$@" /usr/bin/time -a -o "$here/$into" -f '%U %S' sh "$here/sample.sh" ${variables:-}
}

# median FILE COLUMN
median() {
    [ -s "$here/$1" ] || { echo - && return; }
    awk -v column="$2" '{ print $column }' "$here/$1" | sort -n |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# number BEFORE AFTER: the number between these words, without commas.
number() {
    sed -n "s/.*$1\\([0-9,]*\\)$2.*/\\1/p" | tr -d , | head -n 1
}

echo "program,events,plain user s,plain system s,millpond user ns,millpond system ns,heaptrack user ns,heaptrack system ns,\
millpond bytes,heaptrack bytes,allocations,valgrind" >"$prefix.csv"
for name in $wanted; do
    workload "$name" || { echo "$name is left out: it is not installed" >&2 && continue; }
    rm -f "$here/plain" "$here/recorded" "$here/heaptrack"
    round=0
    while [ "$round" -lt "$rounds" ]; do
        variables='' timed plain
        variables='' timed recorded "$millpond" record --force -o "$here/out.mpt" -- 2>/dev/null
        rm -f "$here"/out*.mpt
        if [ -n "$heaptrack" ]; then
            variables="LD_PRELOAD=$heaptrack DUMP_HEAPTRACK_OUTPUT=$here/raw" timed heaptrack
            rm -f "$here/raw"
        fi
        round=$((round + 1))
    done
    line=$(eval "$millpond record -o $here/one.mpt -- $command" 2>&1 >/dev/null | grep '^millpond: recorded')
    events=$(echo "$line" | number 'recorded ' ' events')
    allocations=$(echo "$line" | number '(' ' allocations')
    bytes=$(stat -c %s "$here/one.mpt") theirs=- counted=-
    rm "$here/one.mpt"
    if command -v heaptrack >/dev/null; then
        eval "heaptrack -o $here/kept $command" >/dev/null 2>&1 && theirs=$(stat -c %s "$here"/kept*)
        rm -f "$here"/kept*
    fi
    if command -v valgrind >/dev/null; then
        counted=$(eval "valgrind $command" 2>&1 >/dev/null | number 'total heap usage: ' ' allocs')
    fi
    echo "$repeats $name $events $(median plain 1) $(median plain 2) $(median recorded 1) $(median recorded 2)" \
        "$(median heaptrack 1) $(median heaptrack 2) $bytes $theirs $allocations ${counted:--}" |
        awk 'function more(with, plain) { return with == "-" ? "-" : sprintf("%.0f", (with - plain) / $1 / $3 * 1e9) }
            { printf "%s,%d,%.3f,%.3f,%s,%s,%s,%s,%s,%s,%s,%s\n", $2, $3, $4 / $1, $5 / $1, more($6, $4), more($7, $5),
                more($8, $4), more($9, $5), $10, $11, $12, $13 }' >>"$prefix.csv"
done
# The same for people, with bytes per event.
awk -F, 'function each(bytes) { return bytes == "-" ? "-" : sprintf("%.2f", bytes / $2) }
    NR == 1 { printf "%-9s %9s %8s %8s %15s %15s %8s %8s %11s %11s\n", "program", "events", "user s", "system s",
        "millpond u+s ns", "heaptrack u+s", "B/event", "ht B/ev.", "allocations", "valgrind" }
    NR > 1 { printf "%-9s %9d %8.3f %8.3f %15s %15s %8s %8s %11s %11s\n", $1, $2, $3, $4, $5 " + " $6, $7 " + " $8,
        each($9), each($10), $11, $12 }' "$prefix.csv" | tee "$prefix.txt"
