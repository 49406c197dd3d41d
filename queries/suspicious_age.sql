-- # Suspiciously old
-- Which blocks that are alive are older than almost every block of the same call site that was
-- freed? Only sites that do free can have them.
--
-- group  leaks
-- param  blocks : int = 1   at least so many such blocks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column old_blocks : count  alive, and older than 99 of 100 freed blocks lived
-- column old_bytes : bytes  bytes of them
-- column usual_ns : ns  how long 99 of 100 freed blocks lived at most
-- column oldest_ns : ns  age of the oldest
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
