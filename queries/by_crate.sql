-- # By crate
-- Memory by crate. A site belongs to the crate of its first own frame.
--
-- group  places
-- column crate  crate, or kind of code
-- column live_bytes : bytes  bytes live at the end
-- column live_share : share  share of all bytes live at the end
-- column bytes : bytes  allocated bytes
-- column allocations : count  number of allocations
-- column sites : count  number of sites
-- view   table
SELECT coalesce(frames.crate, frames.kind, 'unknown') AS crate, sum(sites.live_bytes) AS live_bytes,
    1.0 * sum(sites.live_bytes) / (SELECT nullif(sum(live_bytes), 0) FROM sites) AS live_share,
    sum(sites.bytes) AS bytes, sum(sites.allocations) AS allocations, count(*) AS sites
FROM sites LEFT JOIN frames ON frames.id = sites.frame
GROUP BY 1
ORDER BY live_bytes DESC, bytes DESC, 1;
