-- # Tiny blocks
-- Sites with many small blocks, for which the overhead of the allocator is relatively large:
-- candidates for an arena, inline storage or larger units.
--
-- group  volume
-- param  size : bytes = 16   maximum average size
-- param  permille : int = 5   minimum thousandths of all allocations
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column allocations : count  number of allocations
-- column average_bytes : bytes  average size
-- column live_blocks : count  blocks live at the end
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.allocations AS allocations,
    1.0 * sites.bytes / sites.allocations AS average_bytes,
    sites.live_blocks AS live_blocks
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.bytes <= :size * sites.allocations
    AND sites.allocations * 1000 >= :permille * (SELECT sum(allocations) FROM sites)
ORDER BY sites.allocations DESC, sites.bt
LIMIT :limit;
