-- # Freed by another thread
-- Sites whose blocks are freed by other threads. Such frees miss the fast path of most allocators.
--
-- group  places
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column cross_thread_frees : count  blocks freed by another thread
-- column cross_share : share  share of the site's freed blocks
-- column frees : count  freed blocks
-- view   flame
SELECT sites.bt AS bt, frames.function AS site,
    sites.cross_thread_frees AS cross_thread_frees,
    1.0 * sites.cross_thread_frees / sites.frees AS cross_share,
    sites.frees AS frees
FROM sites LEFT JOIN frames ON frames.id = sites.frame
WHERE sites.cross_thread_frees > 0
ORDER BY sites.cross_thread_frees DESC, sites.bt
LIMIT :limit;
