-- # Partial leaks
-- Sites that free most of their blocks but keep a share, often because of one path that does not
-- free, such as an error path. A cache that is still filling looks the same.
--
-- group  leaks
-- param  blocks : int = 10   minimum number of live blocks
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  bytes live at the end
-- column live_blocks : count  blocks live at the end
-- column kept_share : share  share of the allocations that are live
-- column allocations : count  number of allocations
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.live_bytes AS live_bytes,
    sites.live_blocks AS live_blocks,
    1.0 * sites.live_blocks / sites.allocations AS kept_share,
    sites.allocations AS allocations
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.frees > 0 AND sites.live_blocks >= :blocks AND sites.live_blocks < 0.9 * sites.allocations
ORDER BY live_bytes DESC, sites.bt
LIMIT :limit;
