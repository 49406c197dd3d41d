-- # Sites of a scope
-- Sites of the live memory of a scope, including inner scopes.
--
-- group  leaks
-- param  scope : int   id of the scope, from `leaks_by_scope`
-- param  limit : int = 50   maximum number of rows
-- column bt : backtrace  backtrace of the site
-- column site  first own function of the site
-- column live_bytes : bytes  live bytes of the site in the scope
-- column live_blocks : count  number of these blocks
-- column bytes : bytes  allocated bytes of the site in the scope
-- column allocations : count  number of these blocks
-- view   flame
WITH RECURSIVE inside(scope) AS (
    SELECT id FROM scopes WHERE id = :scope
    UNION ALL
    SELECT scopes.id FROM inside JOIN scopes ON scopes.parent = inside.scope
)
SELECT scope_sites.bt AS bt, frames.function AS site, sum(scope_sites.live_bytes) AS live_bytes,
    sum(scope_sites.live_blocks) AS live_blocks, sum(scope_sites.bytes) AS bytes,
    sum(scope_sites.allocations) AS allocations
FROM inside
JOIN scope_sites ON scope_sites.scope = inside.scope
LEFT JOIN sites ON sites.bt = scope_sites.bt
LEFT JOIN frames ON frames.id = sites.frame
GROUP BY scope_sites.bt
ORDER BY live_bytes DESC, bytes DESC, scope_sites.bt
LIMIT :limit;
