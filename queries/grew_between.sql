-- # Grew between two moments
-- Difference of live bytes between two moments by site, for example just before and after a step
-- of the live curve. Both moments are moved to the end of their time slices.
--
-- group  moments
-- param  from : time = 0   the first moment
-- param  to : time =    the second moment [default: end of the recording]
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column growth_bytes : bytes  live bytes at the second moment minus at the first
-- column from_bytes : bytes  bytes live at the first moment
-- column to_bytes : bytes  bytes live at the second moment
-- view   flame
WITH width(n) AS (SELECT coalesce((SELECT value FROM meta WHERE key = 'slices_per_point'), 1)),
ends(a, b) AS (
    SELECT coalesce((SELECT min(slice) FROM timeline WHERE to_ns > :from), max(slice)),
        CASE WHEN :to IS NULL THEN max(slice)
            ELSE coalesce((SELECT min(slice) FROM timeline WHERE to_ns > :to), max(slice)) END
    FROM timeline
),
chosen(a, b) AS (SELECT a / n * n + n - 1, b / n * n + n - 1 FROM ends, width),
before(bt, bytes) AS (
    SELECT bt, live_bytes FROM (
        SELECT bt, live_bytes, max(slice) FROM site_timeline WHERE slice <= (SELECT a FROM chosen) GROUP BY bt
    )
),
later(bt, bytes) AS (
    SELECT bt, live_bytes FROM (
        SELECT bt, live_bytes, max(slice) FROM site_timeline WHERE slice <= (SELECT b FROM chosen) GROUP BY bt
    )
)
SELECT sites.bt AS bt, frames.function AS site,
    coalesce(later.bytes, 0) - coalesce(before.bytes, 0) AS growth_bytes,
    coalesce(before.bytes, 0) AS from_bytes, coalesce(later.bytes, 0) AS to_bytes
FROM sites
LEFT JOIN before ON before.bt = sites.bt
LEFT JOIN later ON later.bt = sites.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE coalesce(later.bytes, 0) <> coalesce(before.bytes, 0)
ORDER BY growth_bytes DESC, sites.bt
LIMIT :limit;
