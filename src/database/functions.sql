-- Refills `functions` with the totals of the sites of each function. `total` cannot overflow, whatever
-- sizes a damaged recording has.
DELETE FROM functions;
INSERT INTO functions
SELECT NULL, min(sites.frame), count(*),
    CAST(total(sites.allocations) AS INTEGER), CAST(total(sites.bytes) AS INTEGER),
    CAST(total(sites.live_blocks) AS INTEGER), CAST(total(sites.live_bytes) AS INTEGER),
    CAST(total(sites.at_peak_blocks) AS INTEGER), CAST(total(sites.at_peak_bytes) AS INTEGER),
    CAST(total(sites.judged_blocks) AS INTEGER), CAST(total(sites.judged_bytes) AS INTEGER),
    CAST(total(sites.temporary) AS INTEGER), CAST(total(sites.temporary_bytes) AS INTEGER),
    max(sites.size_max), min(sites.first_ns), max(sites.last_ns)
FROM sites JOIN frames ON frames.id = sites.frame
GROUP BY frames.sym
ORDER BY min(sites.frame);
