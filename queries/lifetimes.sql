-- # Lifetimes
-- How long do the blocks of each call site live? Only freed blocks have a life; those that are
-- alive stand beside it.
--
-- group  churn
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column frees : count  blocks that were freed
-- column lifetime_p50_ns : ns  half of them lived at most so long
-- column lifetime_p90_ns : ns  nine of ten
-- column lifetime_p99_ns : ns  99 of 100
-- column lifetime_max_ns : ns  the longest life
-- column live_blocks : count  alive at the end
-- view   table
SELECT sites.bt AS bt, frames.function AS site,
    sites.frees AS frees,
    sites.lifetime_p50_ns AS lifetime_p50_ns,
    sites.lifetime_p90_ns AS lifetime_p90_ns,
    sites.lifetime_p99_ns AS lifetime_p99_ns,
    sites.lifetime_max_ns AS lifetime_max_ns,
    sites.live_blocks AS live_blocks
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.frees > 0
ORDER BY sites.frees DESC, sites.bt
LIMIT :limit;
