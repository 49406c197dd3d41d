-- # Survival by site
-- Of the blocks that a call site made long enough ago, what share is still alive? A leak stays
-- above zero, a cache falls late, temporaries fall at once. Blocks that are alive at the end are
-- not known to be leaked: they were only not freed yet.
--
-- group  leaks
-- param  age : duration = 1m   only blocks made at least so long before the end; rounded to whole slices of the run
-- param  blocks : int = 10   at least so many such blocks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column old_blocks : count  blocks that old, freed or not
-- column survivor_blocks : count  of them, alive at the end
-- column survivor_share : share  of them, alive at the end
-- column survivor_bytes : bytes  bytes of the survivors
-- view   table
-- Rows are in the order in which their blocks ended, live ones last: the scan begins at the first live one.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
width(n) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1)),
-- The last slice that is old enough, and with which a row of site_timeline ends.
cut(slice, after) AS (
    SELECT max(slice), max(to_ns) FROM timeline, width
    WHERE to_ns <= (SELECT value FROM meta WHERE key = 'duration_ns') - :age
        AND ((slice + 1) % n = 0 OR slice = (SELECT max(slice) FROM timeline))
),
made(bt, blocks) AS (
    SELECT bt, sum(allocations) FROM site_timeline WHERE slice <= (SELECT slice FROM cut) GROUP BY bt
),
kept(bt, blocks, bytes) AS (
    SELECT bt, CAST(round(sum(blocks)) AS INTEGER),
        sum(bytes)
    FROM weighted_allocations
    WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL AND (alloc_after < (SELECT after FROM cut)
        OR (SELECT slice FROM cut) = (SELECT max(slice) FROM timeline))
    GROUP BY bt
)
SELECT made.bt AS bt, frames.function AS site, made.blocks AS old_blocks,
    coalesce(kept.blocks, 0) AS survivor_blocks,
    1.0 * coalesce(kept.blocks, 0) / made.blocks AS survivor_share,
    coalesce(kept.bytes, 0) AS survivor_bytes
FROM made
LEFT JOIN kept ON kept.bt = made.bt
JOIN sites ON sites.bt = made.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE made.blocks >= :blocks
ORDER BY survivor_bytes DESC, survivor_share DESC, made.bt
LIMIT :limit;
