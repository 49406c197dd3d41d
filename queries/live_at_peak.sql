-- # Live at the peak
-- Sites by live bytes at the time of most live bytes.
--
-- group  moments
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column at_peak_bytes : bytes  bytes live at the peak
-- column at_peak_blocks : count  blocks live at the peak
-- column peak_share : share  share of all bytes live at the peak
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.at_peak_bytes AS at_peak_bytes,
    sites.at_peak_blocks AS at_peak_blocks,
    1.0 * sites.at_peak_bytes / (SELECT sum(at_peak_bytes) FROM sites) AS peak_share
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.at_peak_blocks > 0
ORDER BY at_peak_bytes DESC, sites.bt
LIMIT :limit;
