# Stores results as benches/results/MIX.csv, as the benchmarks in Rust do. Sourced.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

# start_results MIX WHAT: begins the file $results, to which programs append lines.
start_results() {
    mix=$1 results=$scratch/$1.csv
    local processor
    processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    {
        echo "# $mix: $2"
        echo "# $(gcc --version | head -n 1), $(rustc --version | cut -d ' ' -f 1,2), $processor, $(nproc) threads, linux"
        echo "theme,mix,case,contender,measure,unit,median,low,high,ratio,ratio_low,ratio_high,rounds"
    } >"$results"
}

# Moves the file to its place when it is complete.
keep_results() {
    mkdir -p "$repository/benches/results"
    cp "$results" "$repository/benches/results/$mix.csv"
}
