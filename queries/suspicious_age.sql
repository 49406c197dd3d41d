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
-- Rows stand in the order in which their blocks ended, those that are alive last: the others need no look.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'rows')
        - (SELECT value FROM meta WHERE key = 'live_blocks'), 0)
),
run(duration_ns) AS (SELECT value FROM meta WHERE key = 'duration_ns')
SELECT sites.bt AS bt, frames.function AS site, count(*) AS old_blocks, sum(allocations.size) AS old_bytes,
    sites.lifetime_p99_ns AS usual_ns,
    (SELECT duration_ns FROM run) - min(allocations.alloc_after) AS oldest_ns
FROM allocations
JOIN sites ON sites.bt = allocations.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE allocations.rowid > (SELECT ended FROM live) AND allocations.dealloc_after IS NULL
    AND (SELECT duration_ns FROM run) - allocations.alloc_after > sites.lifetime_p99_ns
GROUP BY sites.bt
HAVING count(*) >= :blocks
ORDER BY old_bytes DESC, sites.bt
LIMIT :limit;
