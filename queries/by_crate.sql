-- # By crate
-- Which crate's code holds the memory? A site belongs to the crate of its first own frame.
--
-- group  places
-- column crate  the crate, or what kind of code it is
-- column live_bytes : bytes  alive at the end
-- column live_share : share  of all bytes alive at the end
-- column bytes : bytes  bytes ever made
-- column allocations : count  blocks ever made
-- column sites : count  call sites
-- view   table
SELECT coalesce(frames.crate, frames.kind, 'unknown') AS crate, sum(sites.live_bytes) AS live_bytes,
    1.0 * sum(sites.live_bytes) / (SELECT nullif(sum(live_bytes), 0) FROM sites) AS live_share,
    sum(sites.bytes) AS bytes, sum(sites.allocations) AS allocations, count(*) AS sites
FROM sites LEFT JOIN frames ON frames.id = sites.frame
GROUP BY 1
ORDER BY live_bytes DESC, bytes DESC, 1;
