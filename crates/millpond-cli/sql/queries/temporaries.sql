-- Call sites with most blocks that their thread freed with its next event.
SELECT service, run, process, function, file, line, temporaries, allocations - resizes AS blocks
FROM site_use
WHERE temporaries > 0
ORDER BY temporaries DESC, run, process, site
LIMIT 20;
