-- # Short-lived
-- Which call sites make many blocks of which half do not live longer than a moment?
--
-- group  churn
-- param  lifetime : duration = 1ms   half of the freed blocks live at most so long
-- param  permille : int = 5   at least so many thousandths of all blocks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column allocations : count  blocks made
-- column lifetime_p50_ns : ns  median life of freed blocks
-- column bytes : bytes  bytes made
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
