-- # Peak inside a window
-- When was most memory in use in a window of the run, and who held it? The moment is exact to a
-- slice of the run; who held it is told for that slice's end.
--
-- group  moments
-- param  from : time = 0   beginning of the window
-- param  to : time =    end of the window; the end of the recording if not given
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end of that slice
-- column live_blocks : count  alive at the end of that slice
-- column window_peak_bytes : bytes  most bytes alive at once in the window
-- column peak_slice_ns : moment  beginning of the slice in which that was
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
