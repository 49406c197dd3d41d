-- # Leaks by scope
-- Which scope or span holds the memory that nobody has freed? Each one counts the scopes inside it
-- as well; `own_live_bytes` is what was made in it and in none of those.
--
-- group  leaks
-- param  limit : int = 50   most rows
-- column scope : count  its number, for `sites_of_scope`
-- column path  its name behind those of the scopes around it
-- column live_bytes : bytes  made in it or further in, and alive at the end
-- column live_blocks : count  how many
-- column own_live_bytes : bytes  of these, made in it directly
-- column live_share : share  of all bytes alive at the end
-- column bytes : bytes  all that was ever made in it or further in
-- column allocations : count  how many
-- column bt : backtrace  the site that holds most of it
WITH RECURSIVE around(scope, ancestor) AS (
    SELECT DISTINCT scope, scope FROM scope_sites
    UNION ALL
    SELECT around.scope, scopes.parent
    FROM around JOIN scopes ON scopes.id = around.ancestor
    WHERE scopes.parent IS NOT NULL
),
sums(ancestor, bt, live_bytes, live_blocks, own_live_bytes, bytes, allocations) AS (
    SELECT around.ancestor, scope_sites.bt, sum(live_bytes), sum(live_blocks),
        sum(CASE WHEN around.ancestor = scope_sites.scope THEN live_bytes ELSE 0 END),
        sum(bytes), sum(allocations)
    FROM scope_sites JOIN around ON around.scope = scope_sites.scope
    GROUP BY around.ancestor, scope_sites.bt
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY ancestor ORDER BY live_bytes DESC, bt) AS place FROM sums
)
SELECT scopes.id AS scope, scopes.path AS path, sum(ranked.live_bytes) AS live_bytes,
    sum(ranked.live_blocks) AS live_blocks, sum(ranked.own_live_bytes) AS own_live_bytes,
    1.0 * sum(ranked.live_bytes) / max((SELECT sum(live_bytes) FROM threads), 1) AS live_share,
    sum(ranked.bytes) AS bytes, sum(ranked.allocations) AS allocations,
    max(CASE WHEN ranked.place = 1 THEN ranked.bt END) AS bt
FROM ranked JOIN scopes ON scopes.id = ranked.ancestor
GROUP BY scopes.id
ORDER BY live_bytes DESC, bytes DESC, scopes.id
LIMIT :limit;
