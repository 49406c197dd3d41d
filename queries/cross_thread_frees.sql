-- # Freed by another thread
-- Which call sites make blocks that other threads free? Such blocks miss the allocator's fast
-- path.
--
-- group  places
-- param  limit : int = 50   most rows
-- column bt : backtrace  the site's backtrace
-- column site  its first own function
-- column cross_thread_frees : count  blocks freed by another thread
-- column cross_share : share  of the site's freed blocks
-- column frees : count  blocks freed
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.cross_thread_frees AS cross_thread_frees,
    1.0 * sites.cross_thread_frees / sites.frees AS cross_share,
    sites.frees AS frees
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.cross_thread_frees > 0
ORDER BY sites.cross_thread_frees DESC, sites.bt
LIMIT :limit;
