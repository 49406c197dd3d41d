-- # Growing containers
-- Sites with live blocks that are much larger than the smallest block of the site: often one
-- vector, map or string that is never cleared.
--
-- group  containers
-- param  factor : int = 8   minimum ratio of the largest to the smallest block
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end
-- column size_min : bytes  size of the smallest block
-- column size_max : bytes  size of the largest block
-- column reallocs : count  number of reallocations
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
