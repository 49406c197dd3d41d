-- # Short-lived
-- Sites with many allocations and a short median lifetime.
--
-- group  churn
-- param  lifetime : duration = 1ms   maximum median lifetime
-- param  permille : int = 5   minimum thousandths of all allocations
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column allocations : count  number of allocations
-- column lifetime_p50_ns : ns  median lifetime of freed blocks
-- column bytes : bytes  allocated bytes
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.allocations AS allocations,
    sites.lifetime_p50_ns AS lifetime_p50_ns,
    sites.bytes AS bytes
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.lifetime_p50_ns <= :lifetime
    AND sites.allocations * 1000 >= :permille * (SELECT sum(allocations) FROM sites)
ORDER BY sites.allocations DESC, sites.bt
LIMIT :limit;
