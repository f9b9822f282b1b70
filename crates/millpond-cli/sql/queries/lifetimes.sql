-- How long blocks lived that were freed, in all processes of a service.
SELECT p.service, l.below_ns, sum(l.blocks) AS blocks
FROM lifetimes l JOIN processes p ON l.run = p.run AND l.process = p.process
GROUP BY p.service, l.below_ns
ORDER BY p.service, l.below_ns;
