-- Fills `functions`: the sums of the sites that each function names. `total` has no overflow, whatever
-- sizes a damaged recording has.
DELETE FROM functions;
INSERT INTO functions
SELECT NULL, min(sites.frame), count(*),
    CAST(total(sites.allocations) AS INTEGER), CAST(total(sites.bytes) AS INTEGER),
    CAST(total(sites.live_blocks) AS INTEGER), CAST(total(sites.live_bytes) AS INTEGER),
    CAST(total(sites.at_peak_blocks) AS INTEGER), CAST(total(sites.at_peak_bytes) AS INTEGER),
    CAST(total(sites.temporary) AS INTEGER), CAST(total(sites.temporary_bytes) AS INTEGER),
    max(sites.size_max), min(sites.first_ns), max(sites.last_ns)
FROM sites JOIN frames ON frames.id = sites.frame
GROUP BY frames.sym
ORDER BY min(sites.frame);
