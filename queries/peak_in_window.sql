-- # Peak inside a window
-- Sites by live bytes at the peak of a time window. The peak is exact to a time slice; the sites
-- are taken at the end of that slice.
--
-- group  moments
-- param  from : time = 0   beginning of the window
-- param  to : time =    end of the window [default: end of the recording]
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end of that slice
-- column live_blocks : count  blocks live at the end of that slice
-- column window_peak_bytes : bytes  most live bytes in the window
-- column peak_slice_ns : moment  beginning of the slice with the peak
-- view   flame
WITH width(n) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1)),
top(slice, peak_bytes, from_ns) AS (
    SELECT slice, peak_bytes, from_ns FROM timeline
    WHERE to_ns > :from AND (:to IS NULL OR from_ns <= :to)
    ORDER BY peak_bytes DESC, slice
    LIMIT 1
),
chosen(slice) AS (SELECT slice / n * n + n - 1 FROM top, width),
at(bt, live_bytes, live_blocks) AS (
    SELECT bt, live_bytes, live_blocks FROM (
        SELECT bt, live_bytes, live_blocks, max(slice) FROM site_timeline
        WHERE slice <= (SELECT slice FROM chosen)
        GROUP BY bt
    )
)
SELECT at.bt AS bt, frames.function AS site, at.live_bytes AS live_bytes, at.live_blocks AS live_blocks,
    (SELECT peak_bytes FROM top) AS window_peak_bytes,
    (SELECT from_ns FROM top) AS peak_slice_ns
FROM at
JOIN sites ON sites.bt = at.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE at.live_blocks > 0
ORDER BY at.live_bytes DESC, at.bt
LIMIT :limit;
