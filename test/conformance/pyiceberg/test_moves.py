"""Tables that change their name or their entry in the catalog."""

import inspect

import pyarrow as pa
import pytest
from conftest import OLD, REFERENCE
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    RESTError,
    TableAlreadyExistsError,
)
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64())})


def filled(catalog, identifier):
    table = catalog.create_table(identifier, ROWS.schema)
    table.append(ROWS)
    return table


@pytest.mark.skipif(REFERENCE and OLD, reason="the HTTP server of the reference refuses 0x1F in paths")
def test_rename(catalog, namespace):
    before = filled(catalog, (namespace, "t"))
    catalog.create_namespace((namespace, "below"))
    moved = catalog.rename_table((namespace, "t"), (namespace, "below", "moved"))
    assert moved.metadata.table_uuid == before.metadata.table_uuid and moved.location() == before.location()
    assert catalog.list_tables(namespace) == []
    assert catalog.list_tables((namespace, "below")) == [(namespace, "below", "moved")]
    moved.append(ROWS)
    assert catalog.load_table((namespace, "below", "moved")).scan().to_arrow().num_rows == 6
    with pytest.raises(RESTError, match="Table does not exist"):
        before.append(ROWS)

    filled(catalog, (namespace, "taken"))
    with pytest.raises(TableAlreadyExistsError):
        catalog.rename_table((namespace, "below", "moved"), (namespace, "taken"))
    with pytest.raises(NoSuchTableError):
        catalog.rename_table((namespace, "absent"), (namespace, "x"))
    # An older client takes each 404 of a rename for a table that is not there.
    with pytest.raises((NoSuchNamespaceError, NoSuchTableError)):
        catalog.rename_table((namespace, "below", "moved"), ("nowhere", "x"))
    assert catalog.load_table((namespace, "below", "moved")).scan().to_arrow().num_rows == 6
    # The name is free again.
    again = filled(catalog, (namespace, "t"))
    assert again.metadata.table_uuid != before.metadata.table_uuid
    if not REFERENCE:  # it puts the new table among the old one's files
        assert again.location() != before.location()


def test_register(catalog, namespace):
    table = filled(catalog, (namespace, "t"))
    first = table.metadata_location
    table.append(ROWS)
    catalog.drop_table((namespace, "t"))
    registered = catalog.register_table((namespace, "other name"), first)
    assert registered.metadata.table_uuid == table.metadata.table_uuid
    assert registered.metadata_location == first and registered.scan().to_arrow().num_rows == 3
    with pytest.raises(TableAlreadyExistsError):
        catalog.register_table((namespace, "other name"), first)
    with pytest.raises(RESTError, match="NoSuchNamespaceException"):
        catalog.register_table(("nowhere", "t"), first)
    registered.append(ROWS)
    registered.append(ROWS)
    assert catalog.load_table((namespace, "other name")).scan().to_arrow().num_rows == 9


def test_register_over(catalog, namespace):
    if "overwrite" not in inspect.signature(catalog.register_table).parameters:
        pytest.skip("this client does not register over a table")
    if REFERENCE:
        pytest.skip("the reference server does not either")
    table = filled(catalog, (namespace, "t"))
    first = table.metadata_location
    table.append(ROWS)
    registered = catalog.register_table((namespace, "t"), first, overwrite=True)
    assert registered.metadata_location == first
    assert catalog.load_table((namespace, "t")).scan().to_arrow().num_rows == 3


def test_register_what_is_none(catalog, namespace):
    table = filled(catalog, (namespace, "t"))
    for location in (table.location() + "/metadata/absent.metadata.json", "relative", "ftp://elsewhere/x.metadata.json"):
        with pytest.raises(Exception) as refused:
            catalog.register_table((namespace, "x"), location)
        if not REFERENCE:
            assert "ServerError" not in type(refused.value).__name__, refused.value
    assert not catalog.table_exists((namespace, "x"))


def test_conflict_with_a_rename(catalog, namespace):
    """A change that two writers make at once: the later one is refused, whatever the table is called meanwhile."""
    catalog.create_table((namespace, "t"), Schema(NestedField(1, "id", LongType())))
    stale = catalog.load_table((namespace, "t"))
    moved = catalog.rename_table((namespace, "t"), (namespace, "u"))
    with moved.update_schema() as change:
        change.add_column("a", LongType())
    catalog.rename_table((namespace, "u"), (namespace, "t"))
    with pytest.raises(CommitFailedException):
        with stale.update_schema() as change:
            change.add_column("b", LongType())
    assert catalog.load_table((namespace, "t")).schema().column_names == ["id", "a"]


@pytest.mark.skipif(REFERENCE and OLD, reason="the HTTP server of the reference refuses 0x1F in paths")
def test_properties_of_nested_namespaces(catalog, namespace):
    child = (namespace, "below")
    catalog.create_namespace(child, {"owner": "ice"})
    catalog.update_namespace_properties(child, updates={"colour": "blue"}, removals={"owner"})
    properties = catalog.load_namespace_properties(child)
    assert properties["colour"] == "blue" and "owner" not in properties
    assert "colour" not in catalog.load_namespace_properties(namespace)
    catalog.create_table((*child, "t"), Schema(NestedField(1, "id", LongType())))
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace(child)
    catalog.drop_table((*child, "t"))
    catalog.drop_namespace(child)
    assert catalog.list_namespaces(namespace) == []
