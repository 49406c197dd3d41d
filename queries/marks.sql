-- # Marks
-- What did the program say while it ran, and how much was alive then? A mark is a moment for other
-- questions: `@name` is the last one of a name, `@name#2` the second. Live bytes are those at the end
-- of the slice of the run in which the mark lies.
--
-- group  moments
-- param  limit : int = 1000   most rows
-- column at_ns : moment  when
-- column mark  its name, as it is typed for a moment
-- column value : count  the number that goes with it
-- column thread : thread  by whom
-- column since_previous_ns : ns  since the mark before it, whatever its name
-- column live_bytes : bytes  alive at the end of its slice
SELECT at_ns AS at_ns,
    '@' || name || '#' || row_number() OVER (PARTITION BY name ORDER BY at_ns, rowid) AS mark,
    value, thread, at_ns - lag(at_ns) OVER (ORDER BY at_ns, rowid) AS since_previous_ns,
    (SELECT live_bytes FROM timeline WHERE from_ns <= marks.at_ns ORDER BY slice DESC LIMIT 1) AS live_bytes
FROM marks
ORDER BY at_ns, rowid
LIMIT :limit;
