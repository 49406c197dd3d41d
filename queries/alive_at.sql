-- # Live at a moment
-- Sites by live bytes at a moment, taken at the end of the time slice that contains the moment.
--
-- group  moments
-- param  at : time = 1m   the moment
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the moment
-- column live_blocks : count  blocks live at the moment
-- column at_ns : moment  end of the time slice, for which the result holds
-- view   flame
WITH width(n) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1)),
chosen(slice, at_ns) AS (
    SELECT slice, to_ns FROM timeline, width
    WHERE slice >= (SELECT min(slice) FROM timeline WHERE to_ns > :at) / n * n + n - 1
        OR slice = (SELECT max(slice) FROM timeline)
    ORDER BY slice
    LIMIT 1
),
at(bt, live_bytes, live_blocks) AS (
    SELECT bt, live_bytes, live_blocks FROM (
        SELECT bt, live_bytes, live_blocks, max(slice) FROM site_timeline
        WHERE slice <= (SELECT slice FROM chosen)
        GROUP BY bt
    )
)
SELECT at.bt AS bt, frames.function AS site, at.live_bytes AS live_bytes, at.live_blocks AS live_blocks,
    (SELECT at_ns FROM chosen) AS at_ns
FROM at
JOIN sites ON sites.bt = at.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE at.live_blocks > 0
ORDER BY at.live_bytes DESC, at.bt
LIMIT :limit;
