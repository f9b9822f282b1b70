-- Call sites whose blocks have most bytes when most bytes of their process are live.
SELECT service, run, process, function, file, line, blocks_at_peak, bytes_at_peak
FROM site_use
ORDER BY bytes_at_peak DESC, run, process, site
LIMIT 20;
