#!/usr/bin/env bash
# Compares Millpond in C with a hand-written list and other pools: bash crates/millpond-c/benches/compare.sh [ROUNDS]
#
# The results go to benches/results/c.csv, from which `cargo xtask plots` draws.
# Needs gcc, g++ and the Debian packages libboost-dev and libfoonathan-memory-dev. Twice: every pool in a shared library,
# then every pool linked into the program (except for what foonathan has in its own library). RUN is a command to measure under,
# such as `taskset -c 1`.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
(cd ../.. && cargo xtask install --prefix "$scratch/usr" >/dev/null)
rounds=${1:-200}
. benches/results.sh
start_results c "blocks of 64 bytes, each pool behind a call"
cc=(gcc -std=c99 -O2 -Wall -Wextra -Ibenches -I"$scratch/usr/include")
cxx=(g++ -std=c++17 -O2 -Wall -Wextra -Ibenches -isystem /usr/include/foonathan_memory)

echo "shared libraries: ns per pair, and the ratio to the hand-written list"
"${cc[@]}" -fPIC -shared benches/hand.c -o "$scratch/libhand.so"
"${cxx[@]}" -fPIC -shared benches/peers.cpp -o "$scratch/libpeers.so" -lfoonathan_memory
"${cc[@]}" benches/pairs.c -o "$scratch/pairs" -L"$scratch" -L"$scratch/usr/lib" -lmillpond -lhand -lpeers
LD_LIBRARY_PATH=$scratch:$scratch/usr/lib ${RUN:-} "$scratch/pairs" "$rounds" shared "$results"

echo "linked into the program: ns per pair, and the ratio to the hand-written list"
"${cc[@]}" -c benches/hand.c -o "$scratch/hand.o"
"${cxx[@]}" -c benches/peers.cpp -o "$scratch/peers.o"
"${cc[@]}" -c benches/pairs.c -o "$scratch/pairs.o"
g++ "$scratch"/{pairs,hand,peers}.o -o "$scratch/pairs" "$scratch/usr/lib/libmillpond.a" -lfoonathan_memory -lpthread -ldl -lm
${RUN:-} "$scratch/pairs" "$rounds" linked "$results"
keep_results
