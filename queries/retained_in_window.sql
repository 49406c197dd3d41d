-- # Retained in a window
-- Blocks that were allocated in a time window and not freed by its end. With a window around a
-- burst of load, these are the blocks that the burst left behind.
--
-- group  leaks
-- param  from : time = 0   beginning of the window
-- param  to : time =    end of the window [default: end of the recording]
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column retained_bytes : bytes  bytes of these blocks
-- column retained_blocks : count  number of these blocks
-- view   flame
-- Rows are in the order in which their blocks ended, live ones last. Of the freed ones only
-- the ranges of zone_map that span the end of the window are read, and the zone_outliers after them.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
retained(bt, bytes, blocks) AS (
    SELECT bt, bytes, blocks FROM weighted_allocations
    WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after >= :from AND (:to IS NULL OR alloc_after <= :to)
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_map
    CROSS JOIN weighted_allocations AS block ON block.row BETWEEN first_row AND last_row
    WHERE dealloc_to > :to AND alloc_from <= :to
        AND alloc_after >= max(alloc_from, :from) AND alloc_after <= :to AND dealloc_after > :to
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_outliers
    CROSS JOIN weighted_allocations AS block ON block.row = zone_outliers.row
    WHERE zone_outliers.row >= (SELECT min(first_row) FROM zone_map WHERE dealloc_to > :to)
        AND zone_outliers.alloc_after >= :from AND zone_outliers.alloc_after <= :to AND dealloc_after > :to
)
SELECT retained.bt AS bt, frames.function AS site,
    sum(retained.bytes) AS retained_bytes,
    CAST(round(sum(retained.blocks)) AS INTEGER) AS retained_blocks
FROM retained
LEFT JOIN sites ON sites.bt = retained.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY retained.bt
ORDER BY retained_bytes DESC, retained.bt
LIMIT :limit;
