-- # Largest blocks
-- Sites with the largest single blocks.
--
-- group  volume
-- param  size : bytes = 0   minimum size of the largest block
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column size_max : bytes  size of the largest block
-- column size_min : bytes  size of the smallest block
-- column allocations : count  number of allocations
-- column live_bytes : bytes  bytes live at the end
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
