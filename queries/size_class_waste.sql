-- # Lost to size classes
-- How much memory do live blocks lose because the allocator rounds sizes up? For jemalloc's
-- classes, which others resemble.
--
-- group  containers
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column waste_bytes : bytes  reserved but not asked for
-- column waste_share : share  of what is reserved
-- column live_bytes : bytes  asked for and alive at the end
-- column live_blocks : count  alive at the end
-- view   table
-- Rows stand in the order in which their blocks ended, those that are alive last: the others need no look.
WITH live(ended) AS (
    SELECT coalesce((SELECT value FROM meta WHERE key = 'rows')
        - (SELECT value FROM meta WHERE key = 'live_blocks'), 0)
)
SELECT allocations.bt AS bt, frames.function AS site,
    sum(size_class(allocations.size) - allocations.size) AS waste_bytes,
    1.0 * sum(size_class(allocations.size) - allocations.size) / sum(size_class(allocations.size)) AS waste_share,
    sum(allocations.size) AS live_bytes, count(*) AS live_blocks
FROM allocations
LEFT JOIN sites ON sites.bt = allocations.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE allocations.rowid > (SELECT ended FROM live) AND allocations.dealloc_after IS NULL
GROUP BY allocations.bt
HAVING waste_bytes > 0
ORDER BY waste_bytes DESC, allocations.bt
LIMIT :limit;
