-- # Still growing
-- Sites that hold more at the end than at half time and still allocate in the last tenth of the
-- recording.
--
-- group  leaks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column half_bytes : bytes  bytes live at half time
-- column growth_bytes : bytes  difference
-- column last_ns : moment  time of the last allocation
-- view   flame
WITH half(bt, live_bytes) AS (
    SELECT bt, live_bytes FROM (
        SELECT bt, live_bytes, max(slice) FROM site_timeline
        WHERE slice < (SELECT count(*) FROM timeline) / 2
        GROUP BY bt
    )
)
SELECT sites.bt AS bt, frames.function AS site, sites.live_bytes AS live_bytes,
    coalesce(half.live_bytes, 0) AS half_bytes,
    sites.live_bytes - coalesce(half.live_bytes, 0) AS growth_bytes,
    sites.last_ns AS last_ns
FROM sites
LEFT JOIN half ON half.bt = sites.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.last_ns >= 0.9 * (SELECT value FROM meta WHERE key = 'duration_ns')
    AND sites.live_bytes > coalesce(half.live_bytes, 0)
ORDER BY growth_bytes DESC, sites.bt
LIMIT :limit;
