-- # Lifetimes
-- Percentiles of block lifetimes by site. Only freed blocks have a lifetime; live blocks are
-- counted separately.
--
-- group  churn
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column frees : count  freed blocks
-- column lifetime_p50_ns : ns  median lifetime
-- column lifetime_p90_ns : ns  90th percentile of the lifetimes
-- column lifetime_p99_ns : ns  99th percentile of the lifetimes
-- column lifetime_max_ns : ns  longest lifetime
-- column live_blocks : count  blocks live at the end
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
