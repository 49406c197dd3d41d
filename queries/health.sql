-- # Health of the recording
-- What was lost, cut or could not be paired, and how complete are the backtraces? All zero is the
-- good case. What another profiler's recording does not hold at all has no count.
--
-- group  recording
-- column what  name of the loss, or state of backtraces
-- column count : count  how often
-- column meaning  in one sentence
-- view   table
SELECT name AS what, count, meaning FROM losses
UNION ALL
SELECT replace(key, '_', ' '), NULL, value FROM meta WHERE key LIKE 'not\_recorded\_%' ESCAPE '\'
UNION ALL
SELECT 'backtraces ' || stack, count(*),
    CASE stack WHEN 'truncated' THEN 'distinct backtraces that are deeper than the limit'
        WHEN 'failed' THEN 'distinct backtraces that could not be unwound to their end'
        ELSE 'blocks whose backtrace is unknown, as the recorder''s table was full' END
FROM sites WHERE stack <> 'whole' GROUP BY stack
ORDER BY count DESC, what;
