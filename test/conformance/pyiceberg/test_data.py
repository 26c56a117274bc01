"""Real tables: Parquet written and read, evolution, branches, time travel."""

import datetime
import multiprocessing
import random
import time

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import properties
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import EqualTo, GreaterThan, GreaterThanOrEqual
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, MonthTransform
from pyiceberg.types import DoubleType, LongType, NestedField, StringType, StructType, TimestampType


def rows(start: int, count: int) -> pa.Table:
    ids = list(range(start, start + count))
    day = datetime.datetime(2026, 1, 1)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "name": pa.array([f"floe {i}" for i in ids], pa.string()),
            "size": pa.array([i / 2 for i in ids], pa.float64()),
            "at": pa.array([day + datetime.timedelta(hours=i) for i in ids], pa.timestamp("us")),
        }
    )


def by_id(table) -> list[int]:
    return sorted(table.scan().to_arrow()["id"].to_pylist())


@pytest.mark.parametrize("version", ["1", "2"])
def test_append_and_overwrite(catalog, namespace, version):
    table = catalog.create_table((namespace, "t"), rows(0, 0).schema, properties={"format-version": version})
    table.append(rows(0, 1000))
    table.append(rows(1000, 1000))
    assert by_id(catalog.load_table((namespace, "t"))) == list(range(2000))

    table.overwrite(rows(5000, 10), overwrite_filter=GreaterThanOrEqual("id", 500))
    loaded = catalog.load_table((namespace, "t"))
    assert by_id(loaded) == [*range(500), *range(5000, 5010)]
    assert loaded.scan(row_filter=EqualTo("id", 5003)).to_arrow()["name"].to_pylist() == ["floe 5003"]
    assert loaded.scan(row_filter=GreaterThan("id", 5007), selected_fields=("id",)).to_arrow().num_rows == 2

    table.delete(delete_filter=EqualTo("id", 7))
    assert 7 not in by_id(catalog.load_table((namespace, "t")))
    table.overwrite(rows(0, 3))
    assert catalog.load_table((namespace, "t")).scan().to_arrow().sort_by("id").equals(rows(0, 3))


def test_upsert(catalog, namespace):
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "name", StringType(), required=False),
        identifier_field_ids=[1],
    )
    arrow = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string())])
    table = catalog.create_table((namespace, "t"), schema)
    table.append(pa.Table.from_pylist([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], schema=arrow))
    result = table.upsert(pa.Table.from_pylist([{"id": 2, "name": "B"}, {"id": 3, "name": "c"}], schema=arrow))
    assert (result.rows_updated, result.rows_inserted) == (1, 1)
    assert catalog.load_table((namespace, "t")).scan().to_arrow().sort_by("id")["name"].to_pylist() == ["a", "B", "c"]


def test_create_with_data(catalog, namespace):
    """A staged create that lands together with its first rows."""
    with catalog.create_table_transaction((namespace, "ctas"), rows(0, 0).schema) as change:
        with change.update_snapshot().fast_append() as append:
            del append  # an empty first snapshot
        change.set_properties({"made": "at once"})
    table = catalog.load_table((namespace, "ctas"))
    assert table.properties["made"] == "at once" and len(table.snapshots()) == 1
    table.append(rows(0, 5))
    assert by_id(catalog.load_table((namespace, "ctas"))) == [0, 1, 2, 3, 4]


def test_schema_evolution(catalog, namespace):
    table = catalog.create_table((namespace, "t"), rows(0, 0).schema)
    table.append(rows(0, 10))
    with table.update_schema() as change:
        change.add_column("depth", DoubleType(), doc="metres")
        change.add_column("place", StructType(NestedField(100, "lat", DoubleType()), NestedField(101, "lon", DoubleType())))
        change.rename_column("name", "title")
        change.delete_column("size")
        change.move_first("name")
    loaded = catalog.load_table((namespace, "t"))
    assert [f.name for f in loaded.schema().fields] == ["title", "id", "at", "depth", "place"]
    assert len(loaded.schemas()) == 2
    read = loaded.scan().to_arrow()
    assert sorted(read["title"].to_pylist()) == sorted(f"floe {i}" for i in range(10))
    assert read["depth"].null_count == 10

    with loaded.update_schema() as change:
        change.add_column(("place", "name"), StringType())
    wide = pa.table(
        {
            "title": ["new"],
            "id": pa.array([99], pa.int64()),
            "at": pa.array([datetime.datetime(2026, 2, 1)], pa.timestamp("us")),
            "depth": [1.5],
            "place": pa.array([{"lat": 78.0, "lon": 15.0, "name": "Svalbard"}]),
        }
    )
    loaded.append(wide)
    read = catalog.load_table((namespace, "t")).scan(row_filter=EqualTo("id", 99)).to_arrow().to_pylist()
    assert read[0]["place"]["name"] == "Svalbard" and read[0]["depth"] == 1.5
    assert catalog.load_table((namespace, "t")).scan().to_arrow().num_rows == 11


def test_schema_by_union(catalog, namespace):
    table = catalog.create_table((namespace, "t"), rows(0, 0).schema)
    wider = rows(0, 1).append_column("extra", pa.array(["x"]))
    with table.update_schema() as change:
        change.union_by_name(wider.schema)
    table.append(wider)
    assert catalog.load_table((namespace, "t")).scan().to_arrow()["extra"].to_pylist() == ["x"]


def test_partition_evolution(catalog, namespace):
    spec = PartitionSpec(PartitionField(4, 1000, MonthTransform(), "at_month"))
    schema = Schema(
        NestedField(1, "id", LongType()),
        NestedField(2, "name", StringType()),
        NestedField(3, "size", DoubleType()),
        NestedField(4, "at", TimestampType()),
    )
    order = SortOrder(SortField(1, IdentityTransform()))
    table = catalog.create_table((namespace, "t"), schema, partition_spec=spec, sort_order=order)
    assert table.sort_order().fields[0].source_id == 1
    table.append(rows(0, 100))
    with table.update_spec() as change:
        change.remove_field("at_month")
        change.add_field("at", DayTransform(), "at_day")
        change.add_field("id", BucketTransform(4), "id_bucket")
    table.append(rows(100, 100))
    loaded = catalog.load_table((namespace, "t"))
    assert len(loaded.specs()) == 2
    assert sorted(f.name for f in loaded.spec().fields) == ["at_day", "id_bucket"]
    assert by_id(loaded) == list(range(200))
    assert {task.file.spec_id for task in loaded.scan().plan_files()} == {0, 1}
    assert loaded.scan(row_filter=EqualTo("id", 150)).to_arrow().num_rows == 1


def test_branches_and_tags(catalog, namespace):
    table = catalog.create_table((namespace, "t"), rows(0, 0).schema)
    table.append(rows(0, 10))
    first = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(first, "v1").create_branch(first, "audit").commit()
    table.append(rows(10, 10))
    table.append(rows(100, 5), branch="audit")

    loaded = catalog.load_table((namespace, "t"))
    assert set(loaded.refs()) == {"main", "v1", "audit"}
    assert loaded.scan().to_arrow().num_rows == 20
    assert loaded.scan().use_ref("v1").to_arrow().num_rows == 10
    audit = loaded.scan().use_ref("audit").to_arrow()
    assert audit.num_rows == 15 and pc.max(audit["id"]).as_py() == 104

    loaded.manage_snapshots().remove_tag("v1").remove_branch("audit").commit()
    assert set(catalog.load_table((namespace, "t")).refs()) == {"main"}


def test_time_travel(catalog, namespace):
    table = catalog.create_table((namespace, "t"), rows(0, 0).schema)
    ids = []
    for i in range(5):
        table.append(rows(i * 10, 10))
        ids.append(table.current_snapshot().snapshot_id)
    loaded = catalog.load_table((namespace, "t"))
    for i, snapshot_id in enumerate(ids):
        assert loaded.scan(snapshot_id=snapshot_id).to_arrow().num_rows == (i + 1) * 10
    assert [entry.snapshot_id for entry in loaded.history()] == ids
    middle = loaded.snapshot_by_id(ids[2])
    assert loaded.snapshot_as_of_timestamp(middle.timestamp_ms).snapshot_id == ids[2]
    assert loaded.inspect.snapshots().num_rows == 5

    loaded.maintenance.expire_snapshots().by_ids(ids[:3]).commit()
    loaded = catalog.load_table((namespace, "t"))
    assert [s.snapshot_id for s in loaded.snapshots()] == ids[3:]
    assert by_id(loaded) == list(range(50))


def test_stale_writer_is_refused(catalog, namespace):
    catalog.create_table((namespace, "t"), rows(0, 0).schema)
    one, two = (catalog.load_table((namespace, "t")) for _ in range(2))
    with one.update_schema() as change:
        change.add_column("a", LongType())
    with pytest.raises(CommitFailedException):
        with two.update_schema() as change:
            change.add_column("b", LongType())


PROCESSES, APPENDS, ROWS = 4, 5, 20


def writer(identifier: tuple[str, str], number: int) -> int:
    """Appends as a job of its own, beginning anew on each conflict."""
    table = load_catalog(f"writer{number}", **properties()).load_table(identifier)
    conflicts = 0
    for i in range(APPENDS):
        batch = rows((number * APPENDS + i) * ROWS, ROWS)
        while True:
            try:
                table.append(batch)
                break
            except CommitFailedException:
                conflicts += 1
                time.sleep(random.uniform(0, 0.2))
                table.refresh()
    return conflicts


def test_concurrent_appends(catalog, namespace):
    identifier = (namespace, "shared")
    catalog.create_table(identifier, rows(0, 0).schema)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        conflicts = pool.starmap(writer, [(identifier, n) for n in range(PROCESSES)])
    table = catalog.load_table(identifier)
    assert by_id(table) == list(range(PROCESSES * APPENDS * ROWS))
    assert len(table.snapshots()) == PROCESSES * APPENDS
    print(f"{PROCESSES} processes, {APPENDS} appends each: {sum(conflicts)} conflicts")
