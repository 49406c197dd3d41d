-- # Growing containers
-- Which call sites grow blocks that are alive, and much larger than the smallest block that they
-- made? Often one vector, map or string that nobody empties.
--
-- group  containers
-- param  factor : int = 8   the largest block is at least so many times the smallest
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end
-- column size_min : bytes  smallest block
-- column size_max : bytes  largest block
-- column reallocs : count  steps of growth
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    sites.size_min AS size_min,
    sites.size_max AS size_max,
    sites.reallocs AS reallocs
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.reallocs > 0 AND sites.live_blocks > 0 AND sites.size_max >= :factor * max(sites.size_min, 1)
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
