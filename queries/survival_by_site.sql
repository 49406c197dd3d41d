-- # Survival by site
-- Share of the old blocks of each site that are live at the end. It stays above zero for a leak,
-- falls late for a cache, and at once for temporaries. Blocks that are live at the end are not
-- necessarily leaked.
--
-- group  leaks
-- param  age : duration = 1m   minimum age of the blocks, rounded to whole time slices
-- param  blocks : int = 10   minimum number of such blocks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column old_blocks : count  blocks of that age, freed or not
-- column survivor_blocks : count  of these, blocks live at the end
-- column survivor_share : share  share of these that is live at the end
-- column survivor_bytes : bytes  bytes of the live ones
-- view   table
-- Rows are in the order in which their blocks ended, live ones last: the scan begins at the first live one.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
width(n) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1)),
-- The last slice that is old enough and ends a row of site_timeline.
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
