-- # Live throughout a window
-- Blocks that were allocated before a window and not freed in it. If the moments are far apart, so
-- that caches have been replaced in between, these blocks are held permanently.
--
-- group  leaks
-- param  from : time = 1m   beginning of the window
-- param  to : time =    end of the window [default: end of the recording]
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column alive_bytes : bytes  bytes of these blocks
-- column alive_blocks : count  number of these blocks
-- view   flame
-- Rows are in the order in which their blocks ended, live ones last. Of the freed ones only
-- the ranges of zone_map that span the whole window are read, and the zone_outliers after them.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
alive(bt, bytes, blocks) AS (
    SELECT bt, bytes, blocks FROM weighted_allocations WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after <= :from
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_map
    CROSS JOIN weighted_allocations AS block ON block.row BETWEEN first_row AND last_row
    WHERE dealloc_to > max(:to, :from) AND alloc_from <= :from
        AND alloc_after >= alloc_from AND alloc_after <= :from AND dealloc_after > max(:to, :from)
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_outliers
    CROSS JOIN weighted_allocations AS block ON block.row = zone_outliers.row
    WHERE zone_outliers.row >= (SELECT min(first_row) FROM zone_map WHERE dealloc_to > max(:to, :from))
        AND zone_outliers.alloc_after <= :from AND dealloc_after > max(:to, :from)
)
SELECT alive.bt AS bt, frames.function AS site,
    sum(alive.bytes) AS alive_bytes,
    CAST(round(sum(alive.blocks)) AS INTEGER) AS alive_blocks
FROM alive
LEFT JOIN sites ON sites.bt = alive.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY alive.bt
ORDER BY alive_bytes DESC, alive.bt
LIMIT :limit;
