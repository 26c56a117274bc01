"""What becomes of the files of a table that is purged."""

import time

import pyarrow as pa
import pytest
from pyiceberg.exceptions import NoSuchTableError

SCHEMA = pa.schema([("n", pa.int64()), ("part", pa.string())])


def filled(catalog, identifier):
    """A table with some history, partitions and a delete."""
    table = catalog.create_table(identifier, SCHEMA)
    with table.update_spec() as spec:
        spec.add_identity("part")
    for i in range(3):
        table.append(pa.table({"n": [i, i + 10], "part": ["a%2F", f"b {i}"]}, schema=SCHEMA))
    table.delete("n = 1")
    return catalog.load_table(identifier)


def files(table):
    """All files that a table refers to, by the client's own reading."""
    found = {table.metadata_location}
    found.update(entry.metadata_file for entry in table.metadata.metadata_log)
    for snapshot in table.snapshots():
        found.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.add(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io):
                found.add(entry.data_file.file_path)
    return found


def test_purge_deletes_the_files(catalog, namespace):
    sibling = filled(catalog, (namespace, "events_old"))
    table = filled(catalog, (namespace, "events"))
    doomed, stays = files(table), files(sibling)
    assert len(doomed) > 15
    catalog.purge_table((namespace, "events"))
    with pytest.raises(NoSuchTableError):
        catalog.load_table((namespace, "events"))
    until = time.monotonic() + 60
    left = doomed
    while left and time.monotonic() < until:
        left = {f for f in left if table.io.new_input(f).exists()}
    assert not left
    assert all(sibling.io.new_input(f).exists() for f in stays)
    assert sibling.scan().to_arrow().num_rows == 5


def test_drop_leaves_the_files(catalog, namespace):
    table = filled(catalog, (namespace, "t"))
    catalog.drop_table((namespace, "t"))
    assert all(table.io.new_input(f).exists() for f in files(table))
