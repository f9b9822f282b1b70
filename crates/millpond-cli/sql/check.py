"""Checks that SQL on exported tables gives the same answers as `millpond show` and `millpond diff`:

    check.py MILLPOND [--engines duckdb,datafusion,spark] [--memory 4GB] [--trace FILE]

It records more than fifty programs, exports all of them to one folder, and compares all figures in each engine. With
--trace, it does the same for this one recording instead, and prints how long each view takes.
"""

import argparse
import json
import pathlib
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import engines
import programs

LEAST = 50
# Each is recorded three times with each of two inputs, as two versions.
VERSIONS = {
    "sort": ["sort -k1 words.txt", "sort -k2 sorted.txt words.txt"],
    "awk": ["awk '{ c[$1]++ }' words.txt", "awk '{ c[$1]++; d[$2] = $0 }' words.txt"],
    "jq": ["jq length data.json", "jq 'map(.values)' data.json"],
}


class Checker:
    """Compares values, and counts and prints those that differ."""

    def __init__(self):
        self.compared = 0
        self.wrong = 0

    def same(self, what, found, expected):
        self.compared += 1
        if found != expected:
            self.wrong += 1
            print(f"WRONG: {what}: {found!r} instead of {expected!r}")


def millpond(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"millpond {shlex.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def record(program, trace, command, folder):
    """Records a command, in a shell only if it needs one, and returns whether there are events."""
    words = ["bash", "-c", command] if set("|<") & set(command) else shlex.split(command)
    run = [program, "record", "--force", "-o", trace, "--", *words]
    subprocess.run(run, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return trace.exists()


def record_all(program, scratch):
    """Records all programs that are there. Returns the traces by the name of the run."""
    folder = scratch / "work"
    folder.mkdir()
    programs.prepare(folder)
    traces = {}
    for name, command in programs.commands().items():
        if not shutil.which(name.split("-")[0]) and not shutil.which(name):
            print(f"SKIPPED: {name} is not installed")
            continue
        trace = scratch / f"{name}.mpt"
        if record(program, trace, command, folder):
            traces[name] = trace
        else:
            print(f"SKIPPED: {name} could not be recorded")
    if len(traces) < LEAST:
        sys.exit(f"only {len(traces)} programs could be recorded")
    versions = {}
    for name, commands in VERSIONS.items():
        for version, command in enumerate(commands, 1):
            for turn in range(3):
                trace = scratch / f"versions-{name}-{version}-{turn}.mpt"
                record(program, trace, command, folder)
                versions.setdefault(name, {}).setdefault(str(version), []).append(trace)
    return traces, versions


def by(rows, *keys):
    """Groups rows by the values of some columns."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def compare_process(check, what, shown, tables):
    """Compares what the views say about a process with the output of `millpond show`."""
    sites = {row["site"]: row for row in tables["site_use"]}
    check.same(f"{what} sites", len(sites), len(shown["by_site"]))
    figures = "allocations resizes bytes live_blocks live_bytes blocks_at_peak bytes_at_peak temporaries freed_elsewhere"
    for number, expected in enumerate(shown["by_site"], 1):
        found = sites.get(number, {})
        for figure in [*figures.split(), "median_lifetime_ns", "lifetime"]:
            check.same(f"{what} site {number} {figure}", found.get(figure), expected[figure])
        innermost = (expected["frames"] or [{}])[0]
        for part in ["function", "file", "line"]:
            check.same(f"{what} site {number} {part}", found.get(part), innermost.get(part))
    sizes = {row["size"]: (row["allocations"], row["live_blocks"]) for row in tables["size_use"] if row["allocations"]}
    expected = {size["size_bytes"]: (size["allocations"], size["live_blocks"]) for size in shown["by_size"]}
    check.same(f"{what} sizes", sizes, expected)
    classes = {}
    for size, (allocations, _) in expected.items():
        up_to = max(8, 1 << max(size - 1, 0).bit_length())
        classes[up_to] = classes.get(up_to, 0) + allocations
    check.same(f"{what} size classes", {r["up_to"]: r["allocations"] for r in tables["size_class_use"]}, classes)
    threads = {row["thread"]: (row["allocations"], row["bytes"], row["frees"]) for row in tables["thread_use"]}
    expected = {t["thread"]: (t["allocations"], t["bytes"], t["frees"]) for t in shown["by_thread"]}
    check.same(f"{what} threads", threads, expected)
    matrix = tables["thread_matrix"]
    freed = sum(row["blocks"] for row in matrix)
    check.same(f"{what} frees in the matrix", freed, shown["trace"]["frees"])
    elsewhere = sum(row["blocks"] for row in matrix if row["allocated_by"] != row["freed_by"])
    check.same(f"{what} freed elsewhere", elsewhere, sum(site["freed_elsewhere"] for site in shown["by_site"]))
    lived = sum(row["blocks"] for row in tables["lifetimes"])
    check.same(f"{what} lifetimes", lived, shown["trace"]["frees"])


def compare_peaks(check, engine, processes):
    """Computes the peak of each process from its events."""
    peaks = engine.rows(
        "SELECT l.run, l.process, max(l.live_bytes) AS most, "
        "min(CASE WHEN l.live_bytes = p.peak_bytes THEN l.event END) AS at "
        "FROM live_over_time l JOIN processes p ON l.run = p.run AND l.process = p.process GROUP BY l.run, l.process"
    )
    found = {(row["run"], row["process"]): (row["most"], row["at"]) for row in peaks}
    expected = {
        (row["run"], row["process"]): (row["peak_bytes"], row["peak_event"])
        for row in processes
        if row["peak_event"] > 0
    }
    check.same(f"{engine.name} peaks", {key: found.get(key) for key in expected}, expected)


def compare_growth(check, engine, program, traces):
    """Compares the growth of functions with that in `millpond diff`, of processes that are alone in their recording."""
    found = {
        (row["run"], row["function"]): row["growth_bytes"]
        for row in engine.rows("SELECT run, function, growth_bytes FROM function_use")
    }
    alone = engine.rows("SELECT run FROM processes GROUP BY run HAVING count(*) = 1")
    for name in sorted(row["run"] for row in alone if row["run"] in traces):
        for site in json.loads(millpond(program, "diff", "--json", traces[name], traces[name]))["by_site"]:
            function = site["frames"][0]["function"] if site["frames"] else "(unknown)"
            expected = site["figures"]["growth_bytes"]["before"]["least"]
            grown = found.get((name, function))
            # The analysis keeps 24 binary digits of the live bytes at each quarter.
            if grown is None or abs(grown - expected) > expected / (1 << 20):
                check.same(f"{engine.name} {name} growth of {function}", grown, expected)
            check.compared += 1


def compare_versions(check, engine, program, versions):
    """Compares versions with what `millpond diff` says about them."""
    rows = by(engine.rows("SELECT * FROM regressions WHERE old_version = '1' AND new_version = '2'"), "old_service", "new_service")
    for name, (old, new) in ((name, pair.values()) for name, pair in versions.items()):
        service = f"versions-{name}"
        found = {(row["function"], row["figure"]): row for row in rows.get((service, service), [])}
        expected = json.loads(millpond(program, "diff", "--json", *old, "--to", *new))
        check.same(f"{engine.name} {name} functions", len(found), 6 * len(expected["by_site"]))
        for site in expected["by_site"]:
            function = site["frames"][0]["function"] if site["frames"] else "(unknown)"
            for figure, change in site["figures"].items():
                row = found.get((function, figure), {})
                ours = [row.get(key) for key in ["old_least", "old_most", "new_least", "new_most", "change"]]
                before, after = change["before"], change["after"]
                theirs = [before["least"], before["most"], after["least"], after["most"], change["change"]]
                check.same(f"{engine.name} {name} {function} {figure}", ours, theirs)


VIEWS = ["site_use", "size_use", "size_class_use", "thread_use", "thread_matrix", "lifetimes"]


def compare_all(check, engine, expected):
    """Compares all processes; `expected` has the output of `millpond show` for each run and process."""
    tables = {}
    for view in VIEWS:
        begin = time.monotonic()
        tables[view] = by(engine.rows(f"SELECT * FROM {view}"), "run", "process")
        print(f"{engine.name}: {view} took {time.monotonic() - begin:.1f} s", flush=True)
    processes = engine.rows("SELECT * FROM processes")
    check.same(f"{engine.name} processes", {(row["run"], row["process"]) for row in processes}, set(expected))
    for key, shown in expected.items():
        own = {view: tables[view].get(key, []) for view in VIEWS}
        compare_process(check, f"{engine.name} {key[0]} @{key[1]}", shown, own)
    return processes


def run_queries(check, engine, answers):
    """Runs all queries, and compares the answers with those of the engine before."""
    for path in sorted((engines.HERE / "queries").glob("*.sql")):
        for statement in engines.statements(path):
            begin = time.monotonic()
            rows = [tuple(row.values()) for row in engine.rows(statement)]
            print(f"{engine.name}: {path.name} took {time.monotonic() - begin:.1f} s, {len(rows)} rows", flush=True)
            check.same(f"{engine.name} {path.name}", rows, answers.setdefault(path.name, rows))


def export(program, folder, trace, run, service, *options):
    millpond(program, "export", trace, "--to", "parquet", "-o", folder, "--run", run, "--service", service, *options)


def show_all(program, run, trace):
    """Returns what `millpond show` says about each process of a recording."""
    first = json.loads(millpond(program, "show", "--json", trace, "--process", "@1"))
    shown = {(run, 1): first}
    for process in first["processes"][1:]:
        place = process["place"]
        shown[run, place] = json.loads(millpond(program, "show", "--json", trace, "--process", f"@{place}"))
    return shown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("millpond")
    parser.add_argument("--engines", default="duckdb,datafusion,spark")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--trace", type=pathlib.Path)
    options = parser.parse_args()
    program = str(pathlib.Path(options.millpond).absolute())
    check, answers = Checker(), {}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        if options.trace:
            traces, versions = {options.trace.stem: options.trace.absolute()}, {}
        else:
            traces, versions = record_all(program, scratch)
        fleet, expected = scratch / "fleet", {}
        begin = time.monotonic()
        for run, trace in traces.items():
            export(program, fleet, trace, run, run)
        print(f"exported in {time.monotonic() - begin:.1f} s")
        for name, pair in versions.items():
            for version, recordings in pair.items():
                for turn, trace in enumerate(recordings):
                    run = f"versions-{name}-{version}-{turn}"
                    export(program, fleet, trace, run, f"versions-{name}", "--service-version", version)
                    expected.update(show_all(program, run, trace))
        for run, trace in traces.items():
            expected.update(show_all(program, run, trace))
        events = sum(shown["trace"]["events"] for shown in expected.values())
        size = sum(path.stat().st_size for path in fleet.rglob("*.parquet"))
        print(f"{len(traces)} recordings, {len(expected)} processes, {events} events, {size} bytes of Parquet")
        for name in options.engines.split(","):
            engine = engines.open_folder(name, fleet, options.memory)
            processes = compare_all(check, engine, expected)
            run_queries(check, engine, answers)
            if not options.trace:
                compare_peaks(check, engine, processes)
                compare_growth(check, engine, program, traces)
                compare_versions(check, engine, program, versions)
            engine.close()
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(f"{engine.name}: compared; at most {memory} MiB so far (Java's own processes not counted)", flush=True)
    print(f"{check.compared} comparisons, {check.wrong} wrong")
    sys.exit(check.wrong > 0)


if __name__ == "__main__":
    main()
