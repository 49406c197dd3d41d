-- # Alive at a moment
-- Who held the memory at a moment of the run? The answer is for the end of the slice of the run in
-- which the moment lies.
--
-- group  moments
-- param  at : time = 1m   the moment
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive then
-- column live_blocks : count  alive then
-- column at_ns : moment  the end of the slice: the answer is for this moment
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
