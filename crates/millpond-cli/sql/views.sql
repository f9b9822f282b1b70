-- What `millpond show` and `millpond diff` compute, as views of the tables that `millpond export --to parquet` writes.
-- They are the same for DuckDB, DataFusion and Spark. PARQUET.md describes the tables and these views.

-- Events of complete runs, with what each adds to the blocks and bytes that are live in its process.
CREATE VIEW calls AS
SELECT e.run, e.process, e.host, e.service, e.event, e.time_ns, e.thread, e.operation, e.size, e.old_size, e.site,
    e.block_site, e.block_thread, e.lifetime_ns, e.temporary, p.peak_event,
    -- The analysis divides a recording into 1,024 parts. 4 * time_ns < this * n: in the first n quarters.
    p.wall_ns - p.wall_ns % 1024 + 1024 AS parts_ns,
    CASE e.operation WHEN 'allocate' THEN 1 WHEN 'free' THEN -1 ELSE 0 END AS more_blocks,
    CASE e.operation WHEN 'allocate' THEN e.size WHEN 'free' THEN -e.size ELSE e.size - e.old_size END AS more_bytes
FROM events e JOIN processes p ON e.run = p.run AND e.process = p.process;

-- Number of freed blocks of each site by lifetime: below each power of two from 2^8 to 2^34 nanoseconds, and above.
CREATE VIEW lifetimes AS
SELECT run, process, site, below_ns, count(*) AS blocks
FROM (
    SELECT run, process, block_site AS site,
        CASE
            WHEN lifetime_ns < 256 THEN 256 WHEN lifetime_ns < 512 THEN 512
            WHEN lifetime_ns < 1024 THEN 1024 WHEN lifetime_ns < 2048 THEN 2048
            WHEN lifetime_ns < 4096 THEN 4096 WHEN lifetime_ns < 8192 THEN 8192
            WHEN lifetime_ns < 16384 THEN 16384 WHEN lifetime_ns < 32768 THEN 32768
            WHEN lifetime_ns < 65536 THEN 65536 WHEN lifetime_ns < 131072 THEN 131072
            WHEN lifetime_ns < 262144 THEN 262144 WHEN lifetime_ns < 524288 THEN 524288
            WHEN lifetime_ns < 1048576 THEN 1048576 WHEN lifetime_ns < 2097152 THEN 2097152
            WHEN lifetime_ns < 4194304 THEN 4194304 WHEN lifetime_ns < 8388608 THEN 8388608
            WHEN lifetime_ns < 16777216 THEN 16777216 WHEN lifetime_ns < 33554432 THEN 33554432
            WHEN lifetime_ns < 67108864 THEN 67108864 WHEN lifetime_ns < 134217728 THEN 134217728
            WHEN lifetime_ns < 268435456 THEN 268435456 WHEN lifetime_ns < 536870912 THEN 536870912
            WHEN lifetime_ns < 1073741824 THEN 1073741824 WHEN lifetime_ns < 2147483648 THEN 2147483648
            WHEN lifetime_ns < 4294967296 THEN 4294967296 WHEN lifetime_ns < 8589934592 THEN 8589934592
            WHEN lifetime_ns < 17179869184 THEN 17179869184 ELSE 9223372036854775807
        END AS below_ns
    FROM events
    WHERE operation = 'free' AND lifetime_ns IS NOT NULL
) freed
GROUP BY run, process, site, below_ns;

-- The class of lifetimes that has the median of each site.
CREATE VIEW median_lifetimes AS
SELECT run, process, site, min(below_ns) AS below_ns
FROM (
    SELECT run, process, site, below_ns,
        sum(blocks) OVER (PARTITION BY run, process, site ORDER BY below_ns) AS so_far,
        sum(blocks) OVER (PARTITION BY run, process, site) AS freed
    FROM lifetimes
) sums
WHERE 2 * so_far >= freed
GROUP BY run, process, site;

-- What each call site requested, and what became of its blocks. A block belongs to the site that allocated it.
CREATE VIEW site_counts AS
WITH requested AS (
    SELECT run, process, site, count(*) AS allocations,
        sum(CASE WHEN operation = 'resize' THEN 1 ELSE 0 END) AS resizes, sum(size) AS bytes
    FROM events
    WHERE operation <> 'free'
    GROUP BY run, process, site
), kept AS (
    SELECT run, process, block_site AS site, sum(more_blocks) AS live_blocks, sum(more_bytes) AS live_bytes,
        sum(CASE WHEN event <= peak_event THEN more_blocks ELSE 0 END) AS blocks_at_peak,
        sum(CASE WHEN event <= peak_event THEN more_bytes ELSE 0 END) AS bytes_at_peak,
        sum(CASE WHEN 4 * time_ns < parts_ns THEN more_bytes ELSE 0 END) AS live_after_1,
        sum(CASE WHEN 4 * time_ns < 2 * parts_ns THEN more_bytes ELSE 0 END) AS live_after_2,
        sum(CASE WHEN 4 * time_ns < 3 * parts_ns THEN more_bytes ELSE 0 END) AS live_after_3,
        sum(CASE WHEN temporary THEN 1 ELSE 0 END) AS temporaries,
        sum(CASE WHEN operation = 'free' AND thread <> block_thread THEN 1 ELSE 0 END) AS freed_elsewhere
    FROM calls
    GROUP BY run, process, block_site
)
SELECT r.run, r.process, r.site, r.allocations, r.resizes, r.bytes,
    coalesce(k.live_blocks, 0) AS live_blocks, coalesce(k.live_bytes, 0) AS live_bytes,
    coalesce(k.blocks_at_peak, 0) AS blocks_at_peak, coalesce(k.bytes_at_peak, 0) AS bytes_at_peak,
    coalesce(k.live_after_1, 0) AS live_after_1, coalesce(k.live_after_2, 0) AS live_after_2,
    coalesce(k.live_after_3, 0) AS live_after_3,
    coalesce(k.temporaries, 0) AS temporaries, coalesce(k.freed_elsewhere, 0) AS freed_elsewhere
FROM requested r LEFT JOIN kept k ON r.run = k.run AND r.process = k.process AND r.site = k.site;

-- The call sites of each process, as `millpond show` lists them. Null: the trace does not say it.
CREATE VIEW site_use AS
SELECT p.host, p.service, coalesce(p.version, p.build_id, '') AS version, c.run, c.process, p.name AS program,
    c.site, s.function, s.file, s.line, s.callers, c.allocations, c.resizes, c.bytes, c.live_blocks, c.live_bytes,
    c.blocks_at_peak, c.bytes_at_peak,
    CASE WHEN p.wall_ns IS NOT NULL THEN c.live_after_1 END AS live_after_1,
    CASE WHEN p.wall_ns IS NOT NULL THEN c.live_after_2 END AS live_after_2,
    CASE WHEN p.wall_ns IS NOT NULL THEN c.live_after_3 END AS live_after_3,
    CASE WHEN p.origin IS NULL THEN c.temporaries END AS temporaries,
    CASE WHEN p.origin IS NULL THEN c.freed_elsewhere END AS freed_elsewhere,
    CASE
        WHEN p.origin IS NOT NULL THEN NULL
        WHEN m.below_ns < 9223372036854775807 THEN m.below_ns
        WHEN m.below_ns IS NOT NULL THEN greatest(p.wall_ns, 17179869184)
    END AS median_lifetime_ns,
    CASE
        WHEN p.origin IS NOT NULL OR c.allocations = c.resizes THEN NULL
        WHEN 10 * c.temporaries >= 9 * (c.allocations - c.resizes) THEN 'temporary'
        WHEN 2 * c.live_blocks >= c.allocations - c.resizes THEN 'kept'
        WHEN m.below_ns < 9223372036854775807 AND 100 * m.below_ns < p.wall_ns THEN 'short'
        ELSE 'long'
    END AS lifetime
FROM site_counts c
    JOIN processes p ON c.run = p.run AND c.process = p.process
    JOIN sites s ON c.run = s.run AND c.process = s.process AND c.site = s.site
    LEFT JOIN median_lifetimes m ON c.run = m.run AND c.process = m.process AND c.site = m.site;

-- The sizes that were requested.
CREATE VIEW size_use AS
SELECT run, process, size, sum(requested) AS allocations, sum(live) AS live_blocks
FROM (
    SELECT run, process, size,
        sum(CASE WHEN operation = 'free' THEN 0 ELSE 1 END) AS requested,
        sum(CASE WHEN operation = 'free' THEN -1 ELSE 1 END) AS live
    FROM events
    GROUP BY run, process, size
    UNION ALL
    SELECT run, process, old_size AS size, 0 AS requested, -count(*) AS live
    FROM events
    WHERE operation = 'resize'
    GROUP BY run, process, old_size
) changes
GROUP BY run, process, size;

-- The same in classes of sizes: up to a power of two, above half of it.
CREATE VIEW size_class_use AS
SELECT u.run, u.process, c.up_to, sum(u.allocations) AS allocations, sum(u.allocations * u.size) AS bytes,
    sum(u.live_blocks) AS live_blocks, sum(u.live_blocks * u.size) AS live_bytes
FROM size_use u JOIN (
    SELECT * FROM (VALUES
        (-1, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 512), (512, 1024), (1024, 2048),
        (2048, 4096), (4096, 8192), (8192, 16384), (16384, 32768), (32768, 65536), (65536, 131072), (131072, 262144),
        (262144, 524288), (524288, 1048576), (1048576, 2097152), (2097152, 4194304), (4194304, 8388608),
        (8388608, 16777216), (16777216, 33554432), (33554432, 67108864), (67108864, 134217728),
        (134217728, 268435456), (268435456, 536870912), (536870912, 1073741824), (1073741824, 9223372036854775807)
    ) AS classes(above, up_to)
) c ON u.size > c.above AND u.size <= c.up_to
GROUP BY u.run, u.process, c.up_to;

-- What each thread did.
CREATE VIEW thread_use AS
SELECT run, process, thread,
    sum(CASE WHEN operation = 'free' THEN 0 ELSE 1 END) AS allocations,
    sum(CASE WHEN operation = 'free' THEN 0 ELSE size END) AS bytes,
    sum(CASE WHEN operation = 'free' THEN 1 ELSE 0 END) AS frees
FROM events
WHERE thread IS NOT NULL
GROUP BY run, process, thread;

-- Which threads free blocks of which threads.
CREATE VIEW thread_matrix AS
SELECT run, process, block_thread AS allocated_by, thread AS freed_by, count(*) AS blocks, sum(size) AS bytes
FROM events
WHERE operation = 'free' AND thread IS NOT NULL
GROUP BY run, process, block_thread, thread;

-- Live bytes after each event. It sorts all events: select a run.
CREATE VIEW live_over_time AS
SELECT run, process, event, time_ns,
    sum(more_bytes) OVER (PARTITION BY run, process ORDER BY event) AS live_bytes
FROM calls;

-- What each function requested in each run, in all processes of a program. Growth is that of the second half of the
-- recording, if live bytes grew in every quarter.
CREATE VIEW function_use AS
SELECT service, version, run, program, function, sum(allocations) AS allocations, sum(bytes) AS bytes,
    sum(bytes_at_peak) AS peak_bytes, sum(live_bytes) AS live_bytes, sum(temporaries) AS temporaries,
    sum(growth_bytes) AS growth_bytes
FROM (
    SELECT service, version, run, process, program, coalesce(function, '(unknown)') AS function,
        sum(allocations) AS allocations, sum(bytes) AS bytes, sum(bytes_at_peak) AS bytes_at_peak,
        sum(live_bytes) AS live_bytes, sum(temporaries) AS temporaries,
        CASE
            WHEN sum(live_after_1) IS NULL THEN NULL
            WHEN sum(live_after_1) <= sum(live_after_2) AND sum(live_after_2) <= sum(live_after_3)
                AND sum(live_after_3) < sum(live_bytes) THEN sum(live_bytes) - sum(live_after_2)
            ELSE 0
        END AS growth_bytes
    FROM site_use
    GROUP BY service, version, run, process, program, coalesce(function, '(unknown)')
) in_process
GROUP BY service, version, run, program, function;

-- The number of runs of each version of a program. A version without a name is the build of the program.
CREATE VIEW version_runs AS
SELECT service, version, program, count(DISTINCT run) AS runs
FROM (SELECT service, coalesce(version, build_id, '') AS version, name AS program, run FROM processes) named
GROUP BY service, version, program;

-- The range of each figure of each function in all runs of a version; 0 in runs without that function.
CREATE VIEW function_ranges AS
SELECT u.service, u.version, u.program, u.function, u.figure, v.runs, max(u.value) AS most,
    CASE WHEN count(*) < v.runs THEN 0 ELSE min(u.value) END AS least
FROM (
    SELECT service, version, program, function, figure,
        CASE figure
            WHEN 'allocations' THEN allocations WHEN 'bytes' THEN bytes WHEN 'peak_bytes' THEN peak_bytes
            WHEN 'live_bytes' THEN live_bytes WHEN 'temporaries' THEN temporaries ELSE growth_bytes
        END AS value
    FROM function_use CROSS JOIN (
        SELECT * FROM (VALUES
            ('allocations'), ('bytes'), ('peak_bytes'), ('live_bytes'), ('temporaries'), ('growth_bytes')
        ) AS figures(figure)
    ) f
) u JOIN version_runs v ON u.service = v.service AND u.version = v.version AND u.program = v.program
WHERE u.value IS NOT NULL
GROUP BY u.service, u.version, u.program, u.function, u.figure, v.runs;

-- All pairs of services and versions with the same program, compared: select one pair. A figure has changed if the runs
-- of both sides are farther apart than those of either side are from each other.
CREATE VIEW regressions AS
SELECT old_service, old_version, new_service, new_version, program, function, figure, old_least, old_most, new_least,
    new_most,
    CASE
        WHEN old_least = old_most AND new_least = new_most AND old_least = new_least THEN 'same'
        WHEN figure = 'growth_bytes' AND runs = 1 THEN 'unknown'
        WHEN greatest(new_least - old_most, old_least - new_most) > greatest(old_most - old_least, new_most - new_least)
            THEN 'changed'
        ELSE 'noise'
    END AS change
FROM (
    SELECT pair.old_service, pair.old_version, pair.new_service, pair.new_version, pair.program, f.function, f.figure,
        pair.runs,
        coalesce(max(CASE WHEN f.service = pair.old_service AND f.version = pair.old_version THEN f.least END), 0) AS old_least,
        coalesce(max(CASE WHEN f.service = pair.old_service AND f.version = pair.old_version THEN f.most END), 0) AS old_most,
        coalesce(max(CASE WHEN f.service = pair.new_service AND f.version = pair.new_version THEN f.least END), 0) AS new_least,
        coalesce(max(CASE WHEN f.service = pair.new_service AND f.version = pair.new_version THEN f.most END), 0) AS new_most
    FROM (
        SELECT a.service AS old_service, a.version AS old_version, b.service AS new_service, b.version AS new_version,
            a.program, greatest(a.runs, b.runs) AS runs
        FROM version_runs a JOIN version_runs b ON a.program = b.program
        WHERE a.service <> b.service OR a.version <> b.version
    ) pair JOIN function_ranges f ON f.program = pair.program
        AND (f.service = pair.old_service AND f.version = pair.old_version
            OR f.service = pair.new_service AND f.version = pair.new_version)
    GROUP BY pair.old_service, pair.old_version, pair.new_service, pair.new_version, pair.program, f.function, f.figure,
        pair.runs
) compared;
