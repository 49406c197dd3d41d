-- # Partial leaks
-- Which call sites free most of their blocks, but keep a share of them? Often a path that forgets,
-- such as an error path. A cache that is still filling looks the same.
--
-- group  leaks
-- param  blocks : int = 10   at least so many blocks alive
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column live_bytes : bytes  alive at the end
-- column live_blocks : count  alive at the end
-- column kept_share : share  of the blocks made here, those that are alive
-- column allocations : count  blocks made
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
