"""read_parquet.py DIR: what DuckDB and pyarrow find in a directory of exported tables, as JSON."""
import json
import sys

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

found = {}
for table in ["allocations", "backtraces", "sites", "timeline"]:
    file = f"{sys.argv[1]}/{table}.parquet"
    read = pq.read_table(file)
    numbers = [field.name for field in read.schema if str(field.type) == "int64"]
    texts = [field.name for field in read.schema if str(field.type) == "string"]
    assert len(numbers) + len(texts) == len(read.schema), read.schema
    one = {"rows": read.num_rows, "names": read.schema.names}
    one["sums"] = {name: pc.sum(read[name]).as_py() for name in numbers}
    one["counts"] = {name: read.num_rows - read[name].null_count for name in read.schema.names}
    one["texts"] = {name: sorted(set(read[name].to_pylist()) - {None}) for name in texts}

    columns = [f'sum("{name}")::HUGEINT::VARCHAR' for name in numbers]
    columns += [f'count("{name}")' for name in read.schema.names]
    query = f"SELECT count(*), {', '.join(columns)} FROM read_parquet('{file}')"
    rows, *values = duckdb.connect().execute(query).fetchone()
    sums = [None if value is None else int(value) for value in values[: len(numbers)]]
    assert rows == one["rows"], (table, rows)
    assert dict(zip(numbers, sums)) == one["sums"], (table, sums, one["sums"])
    assert dict(zip(read.schema.names, values[len(numbers):])) == one["counts"], table
    found[table] = one
print(json.dumps(found))
