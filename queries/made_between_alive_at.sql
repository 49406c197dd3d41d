-- # Allocated between two moments, live at a third
-- Blocks that were allocated between moments A and B and were live at moment C. With marks,
-- `--from @begin --to @end --alive-at @settled` lists the blocks that a step of the program left
-- behind.
--
-- group  leaks
-- param  from : time = 0   A: allocated at or after this moment
-- param  to : time =    B: allocated at or before this moment [default: end of the recording]
-- param  alive_at : time =    C: live at this moment [default: end of the recording]
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column alive_bytes : bytes  bytes of these blocks
-- column alive_blocks : count  number of these blocks
-- view   flame
-- Rows are in the order in which their blocks ended, live ones last. Of the freed ones only
-- the ranges of zone_map that span C are read, and the zone_outliers after them.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
kept(bt, bytes, blocks) AS (
    SELECT bt, bytes, blocks FROM weighted_allocations
    WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after >= :from
        AND (:to IS NULL OR alloc_after <= :to) AND (:alive_at IS NULL OR alloc_after <= :alive_at)
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_map
    CROSS JOIN weighted_allocations AS block ON block.row BETWEEN first_row AND last_row
    WHERE dealloc_to > :alive_at AND alloc_from <= :alive_at
        AND alloc_after >= max(alloc_from, :from) AND (:to IS NULL OR alloc_after <= :to)
        AND alloc_after <= :alive_at AND dealloc_after > :alive_at
    UNION ALL
    SELECT bt, bytes, blocks FROM zone_outliers
    CROSS JOIN weighted_allocations AS block ON block.row = zone_outliers.row
    WHERE zone_outliers.row >= (SELECT min(first_row) FROM zone_map WHERE dealloc_to > :alive_at)
        AND zone_outliers.alloc_after >= :from AND (:to IS NULL OR zone_outliers.alloc_after <= :to)
        AND zone_outliers.alloc_after <= :alive_at AND dealloc_after > :alive_at
)
SELECT kept.bt AS bt, frames.function AS site,
    sum(kept.bytes) AS alive_bytes,
    CAST(round(sum(kept.blocks)) AS INTEGER) AS alive_blocks
FROM kept
LEFT JOIN sites ON sites.bt = kept.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY kept.bt
ORDER BY alive_bytes DESC, kept.bt
LIMIT :limit;
