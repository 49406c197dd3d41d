-- # Alive at a moment
-- Who held the memory at a moment of the run? Exactly then: what was made up to the moment and freed
-- after it, or not at all.
--
-- group  moments
-- param  at : time = 1m   the moment
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive then
-- column live_blocks : count  alive then
-- column at_ns : moment  the moment
-- view   flame
-- What a row counts: of a sampled recording what a block of its size stands for, else itself.
-- Rows stand in the order in which their blocks ended, those that are alive last. Of the others only
-- the zones that reach over the moment are read, and the zone_outliers of those behind it.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'ended_rows'), 0)
),
alive(bt, size) AS (
    SELECT bt, size FROM allocations WHERE rowid > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after <= :at
    UNION ALL
    SELECT bt, size FROM zone_map
    CROSS JOIN allocations ON allocations.rowid BETWEEN first_row AND last_row
    WHERE dealloc_to > :at AND alloc_from <= :at
        AND alloc_after >= alloc_from AND alloc_after <= :at AND dealloc_after > :at
    UNION ALL
    SELECT bt, size FROM zone_outliers
    CROSS JOIN allocations ON allocations.rowid = zone_outliers.row
    WHERE zone_outliers.row >= (SELECT min(first_row) FROM zone_map WHERE dealloc_to > :at)
        AND zone_outliers.alloc_after <= :at AND dealloc_after > :at
)
SELECT alive.bt AS bt, frames.function AS site,
    sum(iif((SELECT 1 FROM sample_weights), (SELECT bytes FROM sample_weights AS w WHERE w.size = alive.size), alive.size)) AS live_bytes,
    CAST(round(sum(iif((SELECT 1 FROM sample_weights), (SELECT blocks FROM sample_weights AS w WHERE w.size = alive.size), 1))) AS INTEGER) AS live_blocks,
    :at AS at_ns
FROM alive
LEFT JOIN sites ON sites.bt = alive.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY alive.bt
ORDER BY live_bytes DESC, alive.bt
LIMIT :limit;
