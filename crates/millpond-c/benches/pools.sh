#!/usr/bin/env bash
# Compares pools of objects and memory resources with their peers in C++: bash crates/millpond-c/benches/pools.sh
#
# The results go to benches/results/cpp.csv, from which `cargo xtask plots` draws. Needs g++ and the Debian packages
# libboost-dev and libfoonathan-memory-dev. RUN is a command to measure under, such as `taskset -c 1`.
set -euo pipefail
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
. ./results.sh
start_results cpp "millpond.hpp beside its peers, compiled with -O2"
(cd ../../.. && cargo xtask install --prefix "$scratch/usr" >/dev/null)
g++ -std=c++17 -O2 -Wall -Wextra -isystem /usr/include/foonathan_memory -I"$scratch/usr/include" pools.cpp \
  -o "$scratch/pools" -L"$scratch/usr/lib" -lmillpond -lfoonathan_memory
LD_LIBRARY_PATH=$scratch/usr/lib ${RUN:-} "$scratch/pools" "$results"
keep_results
