-- # Largest blocks
-- Which call sites make the largest single blocks?
--
-- group  volume
-- param  size : bytes = 0   only sites with a block of at least this size
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column size_max : bytes  the largest block
-- column size_min : bytes  the smallest
-- column allocations : count  blocks made
-- column live_bytes : bytes  alive at the end
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.size_max AS size_max,
    sites.size_min AS size_min,
    sites.allocations AS allocations,
    sites.live_bytes AS live_bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.size_max >= :size
ORDER BY sites.size_max DESC, sites.bt
LIMIT :limit;
