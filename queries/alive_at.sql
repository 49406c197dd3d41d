-- # Live at a moment
-- Sites by live bytes at a moment: blocks that were allocated up to the moment and freed after it,
-- or not at all.
--
-- group  moments
-- param  at : time = 1m   the moment
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the moment
-- column live_blocks : count  blocks live at the moment
-- column at_ns : moment  the moment
-- view   flame
-- Rows are in the order in which their blocks ended, live ones last. Of the freed ones only
-- the ranges of zone_map that contain the moment are read, and the zone_outliers after them.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
alive(bt, bytes, blocks) AS (
    SELECT bt, bytes, blocks FROM weighted_allocations WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after <= :at
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_map
    CROSS JOIN weighted_allocations AS block ON block.row BETWEEN first_row AND last_row
    WHERE dealloc_to > :at AND alloc_from <= :at
        AND alloc_after >= alloc_from AND alloc_after <= :at AND dealloc_after > :at
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_outliers
    CROSS JOIN weighted_allocations AS block ON block.row = zone_outliers.row
    WHERE zone_outliers.row >= (SELECT min(first_row) FROM zone_map WHERE dealloc_to > :at)
        AND zone_outliers.alloc_after <= :at AND dealloc_after > :at
)
SELECT alive.bt AS bt, frames.function AS site,
    sum(alive.bytes) AS live_bytes,
    CAST(round(sum(alive.blocks)) AS INTEGER) AS live_blocks,
    :at AS at_ns
FROM alive
LEFT JOIN sites ON sites.bt = alive.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY alive.bt
ORDER BY live_bytes DESC, alive.bt
LIMIT :limit;
