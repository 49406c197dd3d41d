-- # Suspiciously old
-- Live blocks that are older than the 99th percentile of the lifetimes of the site's freed blocks.
-- Only sites with frees can have such blocks.
--
-- group  leaks
-- param  blocks : int = 1   minimum number of such blocks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column old_blocks : count  live blocks older than usual_ns
-- column old_bytes : bytes  their bytes
-- column usual_ns : ns  99th percentile of the lifetimes of freed blocks
-- column oldest_ns : ns  age of the oldest block
-- view   flame
-- Rows are in the order in which their blocks ended, live ones last: the scan begins at the first live one.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'freed_rows'), 0)
),
run(duration_ns) AS (SELECT value FROM meta WHERE key = 'duration_ns')
SELECT sites.bt AS bt, frames.function AS site,
    CAST(round(sum(block.blocks)) AS INTEGER) AS old_blocks,
    sum(block.bytes) AS old_bytes,
    sites.lifetime_p99_ns AS usual_ns,
    (SELECT duration_ns FROM run) - min(block.alloc_after) AS oldest_ns
FROM weighted_allocations AS block
JOIN sites ON sites.bt = block.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE block.row > (SELECT ended FROM live) AND block.dealloc_after IS NULL
    AND (SELECT duration_ns FROM run) - block.alloc_after > sites.lifetime_p99_ns
GROUP BY sites.bt
HAVING old_blocks >= :blocks
ORDER BY old_bytes DESC, sites.bt
LIMIT :limit;
