-- # Lost to size classes
-- Memory that live blocks lose because the allocator rounds sizes up, for jemalloc's size classes,
-- which are similar to those of other allocators.
--
-- group  containers
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column waste_bytes : bytes  reserved minus requested bytes
-- column waste_share : share  share of the reserved bytes
-- column live_bytes : bytes  requested bytes live at the end
-- column live_blocks : count  blocks live at the end
-- view   table
-- Rows are in the order in which their blocks ended, live ones last: the scan begins at the first live one.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
counted(bt, size, bytes, blocks) AS (
    SELECT bt, size, bytes, blocks
    FROM weighted_allocations
    WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL
)
SELECT counted.bt AS bt, frames.function AS site,
    CAST(round(sum((size_class(counted.size) - counted.size) * blocks)) AS INTEGER) AS waste_bytes,
    1.0 * sum((size_class(counted.size) - counted.size) * blocks) / sum(size_class(counted.size) * blocks) AS waste_share,
    sum(counted.bytes) AS live_bytes, CAST(round(sum(blocks)) AS INTEGER) AS live_blocks
FROM counted
LEFT JOIN sites ON sites.bt = counted.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY counted.bt
HAVING waste_bytes > 0
ORDER BY waste_bytes DESC, counted.bt
LIMIT :limit;
