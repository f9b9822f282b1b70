-- Call sites whose blocks have most bytes at the end of the recording.
SELECT service, run, process, function, file, line, live_blocks, live_bytes
FROM site_use
WHERE live_blocks > 0
ORDER BY live_bytes DESC, run, process, site
LIMIT 20;
