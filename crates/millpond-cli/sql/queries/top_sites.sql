-- Call sites that request most bytes, over all runs of a version.
SELECT service, version, function, file, count(DISTINCT run) AS runs, sum(allocations) AS allocations,
    sum(bytes) AS bytes, sum(live_bytes) AS live_bytes, sum(temporaries) AS temporaries
FROM site_use
GROUP BY service, version, function, file
ORDER BY bytes DESC, service, version, function, file
LIMIT 20;
