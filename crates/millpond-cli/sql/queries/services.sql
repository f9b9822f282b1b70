-- What each service has recorded: runs, hosts, events, and the largest peak.
SELECT service, count(DISTINCT run) AS runs, count(DISTINCT host) AS hosts, count(*) AS processes, sum(events) AS events,
    sum(requested_bytes) AS requested_bytes, max(peak_bytes) AS largest_peak_bytes
FROM processes
GROUP BY service
ORDER BY requested_bytes DESC, service;
