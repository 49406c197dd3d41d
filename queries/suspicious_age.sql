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
-- What a row counts: of a sampled recording what a block of its size stands for, else itself.
-- Rows stand in the order in which their blocks ended, those that are alive last: the others need no look.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'ended_rows'), 0)
),
run(duration_ns) AS (SELECT value FROM meta WHERE key = 'duration_ns')
SELECT sites.bt AS bt, frames.function AS site,
    CAST(round(sum(iif((SELECT 1 FROM sample_weights), (SELECT blocks FROM sample_weights AS w WHERE w.size = allocations.size), 1))) AS INTEGER) AS old_blocks,
    sum(iif((SELECT 1 FROM sample_weights), (SELECT bytes FROM sample_weights AS w WHERE w.size = allocations.size), allocations.size)) AS old_bytes,
    sites.lifetime_p99_ns AS usual_ns,
    (SELECT duration_ns FROM run) - min(allocations.alloc_after) AS oldest_ns
FROM allocations
JOIN sites ON sites.bt = allocations.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE allocations.rowid > (SELECT ended FROM live) AND allocations.dealloc_after IS NULL
    AND (SELECT duration_ns FROM run) - allocations.alloc_after > sites.lifetime_p99_ns
GROUP BY sites.bt
HAVING old_blocks >= :blocks
ORDER BY old_bytes DESC, sites.bt
LIMIT :limit;
