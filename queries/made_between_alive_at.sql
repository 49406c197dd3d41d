-- # Made between two moments, alive at a third
-- What was made between a moment A and a moment B and still alive at a moment C? Give marks to name
-- them: `--from @begin --to @end --alive-at @settled` is what one step of the program left behind.
--
-- group  leaks
-- param  from : time = 0   A: made then or later
-- param  to : time =    B: made then or earlier; the end of the recording if not given
-- param  alive_at : time =    C: alive then; the end of the recording if not given
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column alive_bytes : bytes  bytes of these blocks
-- column alive_blocks : count  how many
-- view   flame
-- Rows stand in the order in which their blocks ended, those that are alive last. Of the others only
-- the zones that reach over C are read, and the zone_outliers of those behind it.
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
