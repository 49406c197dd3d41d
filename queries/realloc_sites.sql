-- # Reallocation by site
-- Sites with most calls of `realloc`. A call that moves the block copies it: reserve capacity in
-- advance.
--
-- group  containers
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column reallocs : count  number of reallocations
-- column reallocs_moved : count  reallocations that moved the block
-- column moved_share : share  share of the reallocations
-- column bytes : bytes  requested bytes of all reallocations
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.reallocs AS reallocs,
    sites.reallocs_moved AS reallocs_moved,
    1.0 * sites.reallocs_moved / sites.reallocs AS moved_share,
    sites.bytes AS bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.reallocs > 0
ORDER BY sites.reallocs DESC, sites.bt
LIMIT :limit;
