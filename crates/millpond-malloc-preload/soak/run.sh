#!/bin/sh
# Whether resident memory stays flat under a bounded load that lasts: a threaded server, and redis if it is installed, with
# Millpond's malloc preloaded.
#
#     crates/millpond-malloc-preload/soak/run.sh [MINUTES] [MODE] [PREFIX]
#
# It runs for MINUTES (default 60) with MILLPOND_MALLOC=MODE (default checked), and writes the resident memory of both, each
# five seconds, to PREFIX-server.csv and PREFIX-redis.csv (default: target/soak). It fails if a program ends early, or if
# the median of the last quarter is more than 5 % above that of the second quarter (the first is for growth).
#
# Needs cc; redis-server, redis-cli and perl for redis. Debian's redis takes malloc from libjemalloc, in whose place
# comes the library that is preloaded.
set -eu

minutes=${1:-60}
mode=${2:-checked}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
prefix=${3:-$root/target/soak}
library=${LIBRARY:-$root/target/c/libmillpond_malloc.so}
[ -f "$library" ] || (cd "$root" && cargo build --profile c --quiet --package millpond-malloc-preload)

scratch=$(mktemp -d)
started=
stop() {
    for process in $started; do kill "$process" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 130' INT TERM

cc -O2 -fno-builtin -pthread -o "$scratch/server" "$here/server.c"
seconds=$((minutes * 60))
MILLPOND_MALLOC=$mode LD_PRELOAD=$library "$scratch/server" $((seconds + 60)) &
server=$!
started="$server"

redis=
if command -v redis-server >/dev/null && command -v redis-cli >/dev/null && command -v perl >/dev/null; then
    MILLPOND_MALLOC=$mode LD_PRELOAD=$library redis-server --port 0 --unixsocket "$scratch/socket" --save "" \
        --appendonly no --daemonize no >"$scratch/redis.log" 2>&1 &
    redis=$!
    started="$started $redis"
    # 20,000 keys whose values change their sizes, lists that grow and are cut off, and keys that expire.
    perl -e '
        $| = 1; srand 7;
        while (1) {
            for (1 .. 200) {
                my $key = int rand 20000;
                my $dice = rand;
                if ($dice < 0.6) { print "SET key:$key ", "x" x (1 + rand(rand() < 0.02 ? 60000 : 1500)), "\n" }
                elsif ($dice < 0.7) { print "DEL key:$key\n" }
                elsif ($dice < 0.8) { print "SET temp:$key ", "y" x (1 + rand 400), " EX 30\n" }
                elsif ($dice < 0.95) { print "LPUSH list:", $key % 500, " ", "z" x (1 + rand 200), "\n" }
                else { print "LTRIM list:", $key % 500, " 0 50\n" }
            }
            select undef, undef, undef, 0.1;
        }' | redis-cli -s "$scratch/socket" >/dev/null 2>&1 &
    started="$started $!"
else
    echo "SKIPPED: redis, because redis-server, redis-cli or perl is not installed" >&2
fi

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status" 2>/dev/null; }
for program in server redis; do echo "seconds,resident_kib" >"$prefix-$program.csv"; done
begin=$(date +%s)
while [ $(($(date +%s) - begin)) -lt "$seconds" ]; do
    sleep 5
    at=$(($(date +%s) - begin))
    for program in "server $server" "redis $redis"; do
        set -- $program
        [ $# -eq 2 ] || continue
        kib=$(resident "$2")
        [ -n "$kib" ] || { echo "$1 ended after $at s" >&2 && cat "$scratch/redis.log" >&2 2>/dev/null; exit 1; }
        echo "$at,$kib" >>"$prefix-$1.csv"
    done
done

# Compares the second and the last quarter of a file.
judge() {
    tail -n +2 "$2" | cut -d, -f2 | awk -v name="$1" -v mode="$mode" '
        { kib[NR] = $1 }
        function median(from, to,   i, j, count, sorted, held) {
            count = 0
            for (i = from + 1; i <= to; i++) sorted[++count] = kib[i]
            for (i = 2; i <= count; i++) {
                held = sorted[i]
                for (j = i - 1; j >= 1 && sorted[j] > held; j--) sorted[j + 1] = sorted[j]
                sorted[j + 1] = held
            }
            return sorted[int((count + 1) / 2)]
        }
        END {
            if (NR < 8) { print name ": too few samples: run it for a minute at least"; exit 1 }
            second = median(int(NR / 4), int(NR / 2)); last = median(int(3 * NR / 4), NR)
            printf "%s, %s: %.1f MiB in the second quarter, %.1f MiB in the last (%+.1f %%)\n", name, mode, second / 1024, last / 1024,
                100 * (last / second - 1)
            exit last > 1.05 * second
        }'
}
failed=0
judge "threaded server" "$prefix-server.csv" || failed=1
[ -z "$redis" ] || judge redis "$prefix-redis.csv" || failed=1
exit $failed
