"""Appends while the nodes that lead are killed."""

import os
import time

import pyarrow as pa


def test_every_append_lands_once(catalog, namespace):
    schema = pa.schema([("n", pa.int64())])
    table = catalog.create_table((namespace, "t"), schema)
    until = time.monotonic() + float(os.environ["FLOEBERG_TEST_SECONDS"])
    count, slowest = 0, 0.0
    while time.monotonic() < until:
        began = time.monotonic()
        table.append(pa.table({"n": [count]}, schema=schema))
        slowest = max(slowest, time.monotonic() - began)
        count += 1
    loaded = catalog.load_table((namespace, "t"))
    assert sorted(loaded.scan().to_arrow()["n"].to_pylist()) == list(range(count))
    assert len(loaded.snapshots()) == count
    print(f"{count} appends, the slowest took {slowest:.2f} s")
