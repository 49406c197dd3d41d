-- # Allocations in the steady state
-- Allocations after the warm-up, in whole time slices, to find allocations in code that should not
-- allocate.
--
-- group  churn
-- param  after : time = 1m   end of the warm-up, rounded to a whole slice
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column allocations : count  allocations since then
-- column allocated_bytes : bytes  their bytes
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
