-- # Churn by site
-- Sites with the highest allocation rates between their first and last allocation.
--
-- group  churn
-- param  blocks : int = 10   minimum number of allocations
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column allocations_per_s : per second  allocations per second, between the first and last allocation
-- column bytes_per_s : bytes/s  bytes per second, between the first and last allocation
-- column allocations : count  number of allocations
-- column busy_ns : ns  time from the first to the last allocation
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
