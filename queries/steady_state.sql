-- # Allocations in the steady state
-- What still allocates after the warm-up, in code that should not? Counted in whole slices of the
-- run.
--
-- group  churn
-- param  after : time = 1m   end of the warm-up; rounded to a whole slice
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column allocations : count  made since then
-- column allocated_bytes : bytes  bytes of them
-- view   flame
WITH width(n) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1))
SELECT site_timeline.bt AS bt, frames.function AS site, sum(site_timeline.allocations) AS allocations,
    sum(site_timeline.allocated_bytes) AS allocated_bytes
FROM site_timeline
JOIN sites ON sites.bt = site_timeline.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE site_timeline.slice >= (SELECT min(slice) FROM timeline, width WHERE from_ns >= :after AND slice % n = 0)
GROUP BY site_timeline.bt
HAVING sum(site_timeline.allocations) > 0
ORDER BY allocations DESC, site_timeline.bt
LIMIT :limit;
