-- # Never freed, older than an age
-- Live blocks older than a given age, by site. Not every live block is leaked: the older, the more
-- suspicious.
--
-- group  leaks
-- param  age : duration = 10m   minimum age at the end of the recording
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes of these blocks
-- column live_blocks : count  number of these blocks
-- column oldest_ns : ns  age of the oldest block
-- view   flame
-- Rows are in the order in which their blocks ended, live ones last: the scan begins at the first live one.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
run(duration_ns) AS (SELECT value FROM meta WHERE key = 'duration_ns'),
old(bt, bytes, blocks, first_ns) AS (
    SELECT bt, sum(bytes),
        CAST(round(sum(blocks)) AS INTEGER),
        min(alloc_after)
    FROM weighted_allocations
    WHERE row > (SELECT ended FROM live) AND dealloc_after IS NULL AND alloc_after <= (SELECT duration_ns FROM run) - :age
    GROUP BY bt
)
SELECT old.bt AS bt, frames.function AS site, old.bytes AS live_bytes, old.blocks AS live_blocks,
    (SELECT duration_ns FROM run) - old.first_ns AS oldest_ns
FROM old
LEFT JOIN sites ON sites.bt = old.bt
LEFT JOIN frames ON frames.id = sites.frame
ORDER BY live_bytes DESC, live_blocks DESC, old.bt
LIMIT :limit;
