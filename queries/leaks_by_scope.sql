-- # Leaks by scope
-- Live memory by scope or span, including inner scopes; `own_live_bytes` excludes them.
--
-- group  leaks
-- param  limit : int = 50   maximum number of rows
-- column scope : count  id of the scope, for `sites_of_scope`
-- column path  names from the outermost scope to this one
-- column live_bytes : bytes  live bytes of the scope and its inner scopes
-- column live_blocks : count  number of these blocks
-- column own_live_bytes : bytes  live bytes of the scope without inner scopes
-- column live_share : share  share of all bytes live at the end
-- column bytes : bytes  allocated bytes of the scope and its inner scopes
-- column allocations : count  number of these blocks
-- column bt : backtrace  site with most live bytes of the scope
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
