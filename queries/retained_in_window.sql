-- # Retained in a window
-- What was made in a window of the run and is not freed at its end? With a window around one burst
-- of load, this is what the burst left behind.
--
-- group  leaks
-- param  from : time = 0   beginning of the window
-- param  to : time =    end of the window; the end of the recording if not given
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column retained_bytes : bytes  bytes of these blocks
-- column retained_blocks : count  how many
-- view   flame
-- Rows stand in the order in which their blocks ended, those that are alive last. Of the others only
-- the zones that reach over the end of the window are read, and the zone_outliers of those behind it.
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
