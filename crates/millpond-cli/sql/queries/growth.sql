-- Functions whose live bytes grew in every quarter of a recording.
SELECT service, version, run, program, function, growth_bytes, live_bytes
FROM function_use
WHERE growth_bytes > 0
ORDER BY growth_bytes DESC, run, program, function
LIMIT 20;
