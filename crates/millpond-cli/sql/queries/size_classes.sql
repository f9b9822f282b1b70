-- Sizes that a service requests, in classes that end at powers of two.
SELECT p.service, c.up_to, sum(c.allocations) AS allocations, sum(c.bytes) AS bytes, sum(c.live_bytes) AS live_bytes
FROM size_class_use c JOIN processes p ON c.run = p.run AND c.process = p.process
GROUP BY p.service, c.up_to
ORDER BY p.service, c.up_to;
