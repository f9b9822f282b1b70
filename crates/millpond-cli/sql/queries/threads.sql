-- Pairs of threads that free each other's blocks.
SELECT run, process, allocated_by, freed_by, blocks, bytes
FROM thread_matrix
WHERE allocated_by <> freed_by
ORDER BY blocks DESC, run, process, allocated_by, freed_by
LIMIT 20;
