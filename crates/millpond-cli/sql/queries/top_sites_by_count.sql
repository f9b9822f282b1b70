-- Call sites that allocate or resize most often in one process.
SELECT service, run, process, function, file, line, allocations, bytes, lifetime, median_lifetime_ns
FROM site_use
ORDER BY allocations DESC, run, process, site
LIMIT 20;
