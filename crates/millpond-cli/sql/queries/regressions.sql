-- Functions that request more bytes than in another version, beyond the noise of equal runs.
SELECT old_service, old_version, new_service, new_version, program, function, old_least, old_most, new_least, new_most
FROM regressions
WHERE figure = 'bytes' AND change = 'changed' AND new_least > old_most AND old_service = new_service
    AND old_version < new_version
ORDER BY new_least - old_most DESC, new_service, old_version, new_version, program, function
LIMIT 20;
