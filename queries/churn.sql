-- # Churn by site
-- Which call sites allocate most a second, while they are busy?
--
-- group  churn
-- param  blocks : int = 10   at least so many blocks
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column allocations_per_s : per second  between its first and last allocation
-- column bytes_per_s : bytes/s  between its first and last allocation
-- column allocations : count  blocks made
-- column busy_ns : ns  from its first to its last allocation
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.allocations * 1e9 / (sites.last_ns - sites.first_ns) AS allocations_per_s,
    sites.bytes * 1e9 / (sites.last_ns - sites.first_ns) AS bytes_per_s,
    sites.allocations AS allocations,
    sites.last_ns - sites.first_ns AS busy_ns
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.allocations >= :blocks AND sites.last_ns > sites.first_ns
ORDER BY sites.allocations * 1e9 / (sites.last_ns - sites.first_ns) DESC, sites.bt
LIMIT :limit;
