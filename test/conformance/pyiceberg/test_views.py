"""Views, as far as the client knows them."""

import os
import time

import pytest
import requests
from conftest import PREFIX, REFERENCE
from pyiceberg.exceptions import NamespaceNotEmptyError, NoSuchViewError, TableAlreadyExistsError
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

SCHEMA = Schema(NestedField(1, "id", LongType()))


def ask(method: str, path: str, **kwargs) -> requests.Response:
    """Asks the catalog as an engine would, for what not each version of the client can."""
    return requests.request(
        method,
        f"{os.environ['FLOEBERG_TEST_URI']}/v1/{PREFIX}namespaces/{path}",
        headers={"Authorization": "Bearer " + os.environ["FLOEBERG_TEST_TOKEN"]},
        timeout=60,
        **kwargs,
    )


def create_view(namespace: str, name: str) -> requests.Response:
    return ask(
        "POST",
        f"{namespace}/views",
        json={
            "name": name,
            "schema": {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "id", "type": "long", "required": False}]},
            "view-version": {
                "version-id": 1,
                "schema-id": 0,
                "timestamp-ms": int(time.time() * 1000),
                "summary": {"engine-name": "test"},
                "default-namespace": [namespace],
                "representations": [{"type": "sql", "sql": "SELECT 1 AS id", "dialect": "spark"}],
            },
            "properties": {"owner": "ice"},
        },
    )


def test_views(catalog, namespace):
    assert catalog.list_views(namespace) == []
    for name in ("a", "b"):
        assert create_view(namespace, name).status_code == 200
    assert catalog.view_exists((namespace, "a")) and not catalog.view_exists((namespace, "absent"))
    assert sorted(catalog.list_views(namespace)) == [(namespace, "a"), (namespace, "b")]
    assert catalog.list_tables(namespace) == []
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table((namespace, "a"), SCHEMA)
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace(namespace)
    catalog.create_table((namespace, "t"), SCHEMA)
    assert create_view(namespace, "t").status_code == 409
    assert not catalog.view_exists((namespace, "t")) and not catalog.table_exists((namespace, "b"))

    catalog.drop_view((namespace, "a"))
    with pytest.raises(NoSuchViewError):
        catalog.drop_view((namespace, "a"))
    assert catalog.list_views(namespace) == [(namespace, "b")]


def test_views_of_the_client(catalog, namespace):
    if not hasattr(catalog, "create_view"):
        pytest.skip("this client makes no views")
    from pyiceberg.exceptions import ViewAlreadyExistsError
    from pyiceberg.view.metadata import SQLViewRepresentation, ViewVersion

    version = ViewVersion(
        version_id=1,
        schema_id=0,
        timestamp_ms=int(time.time() * 1000),
        summary={"engine-name": "pyiceberg"},
        representations=[SQLViewRepresentation(type="sql", sql="SELECT 2 AS id", dialect="spark")],
        default_namespace=[namespace],
    )
    made = catalog.create_view((namespace, "v"), SCHEMA, version, properties={"owner": "ice"})
    with pytest.raises(ViewAlreadyExistsError):
        catalog.create_view((namespace, "v"), SCHEMA, version)
    loaded = catalog.load_view((namespace, "v"))
    assert loaded.metadata.view_uuid == made.metadata.view_uuid and loaded.metadata.properties["owner"] == "ice"
    with pytest.raises(NoSuchViewError):
        catalog.load_view((namespace, "absent"))
    if REFERENCE:
        return  # the reference server deletes a view's metadata with it
    file = ask("GET", f"{namespace}/views/v").json()["metadata-location"]
    catalog.drop_view((namespace, "v"))
    assert catalog.register_view((namespace, "again"), file).metadata.view_uuid == made.metadata.view_uuid
