-- # Growth by site
-- Sites that grow steadily: a line is fitted to the live bytes at the ends of the time slices
-- after a warm-up, and sites are ranked by slope times R². Only the 250 sites with the largest
-- peaks are considered, because the peak limits the slope.
--
-- group  leaks
-- param  warmup : int = 25   percent of the recording to skip at its beginning
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column slope_bytes_per_s : bytes/s  slope of the line
-- column fit  R² of the line, 0 to 1
-- column live_bytes : bytes  bytes live at the end
-- view   flame
-- A row of site_timeline is valid until the next row of the site, so that a run of equal slices is one
-- term of each sum: of y, of x*y and of y*y over the slices x from the first to the last.
WITH slices(first, n, seconds) AS (
    SELECT count(*) * :warmup / 100, count(*) - count(*) * :warmup / 100,
        (max(to_ns) - min(from_ns)) / 1e9 / count(*)
    FROM timeline
),
steps(bt, y, a, b) AS (
    SELECT bt, 1.0 * live_bytes, max(slice, first),
        lead(slice, 1, first + n) OVER (PARTITION BY bt ORDER BY slice)
    FROM site_timeline, slices
    WHERE bt IN (SELECT bt FROM sites ORDER BY peak_bytes DESC, bt
        LIMIT iif(:limit < 0, -1, max(250, :limit)))
),
sums(bt, y, xy, yy) AS (
    SELECT bt, sum(y * (b - a)), sum(y * (a + b - 1) * (b - a) / 2.0), sum(y * y * (b - a))
    FROM steps
    WHERE b > a
    GROUP BY bt
),
-- Mean of x, and sum of squared distances from it.
line(bt, sxy, sxx, syy, seconds) AS (
    SELECT bt, xy - y * (first + (n - 1) / 2.0), n * (1.0 * n * n - 1) / 12, yy - y * y / n, seconds
    FROM sums, slices
)
SELECT line.bt AS bt, frames.function AS site,
    sxy / sxx / seconds AS slope_bytes_per_s,
    CASE WHEN syy > 0 THEN min(1.0, sxy * sxy / (sxx * syy)) ELSE 1.0 END AS fit,
    sites.live_bytes AS live_bytes
FROM line
JOIN sites ON sites.bt = line.bt
LEFT JOIN frames ON frames.id = sites.frame
WHERE sxx > 0 AND sxy > 0
ORDER BY slope_bytes_per_s * fit DESC, line.bt
LIMIT :limit;
