"""A client that gets its tokens from an identity provider, which the catalog trusts."""

import os
import time

import pyarrow as pa
import pytest
import requests
from conftest import connect
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import UnauthorizedError

TOKEN_URL = os.environ["FLOEBERG_TEST_TOKEN_URL"]
CREDENTIAL = os.environ["FLOEBERG_TEST_CREDENTIAL"]
SCOPE = os.environ["FLOEBERG_TEST_SCOPE"]
CLIENT_ID, CLIENT_SECRET = CREDENTIAL.split(":", 1)
SCHEMA = pa.schema([("n", pa.int64())])


def token() -> str:
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    answer = requests.post(TOKEN_URL, data=form, auth=(CLIENT_ID, CLIENT_SECRET), timeout=20)
    answer.raise_for_status()
    return answer.json()["access_token"]


def renewing() -> dict[str, Catalog]:
    """The two ways in which PyIceberg asks a provider: when it is refused, and before it would be."""
    manager = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "token_url": TOKEN_URL,
        "scope": SCOPE,
        "refresh_margin": 1,
    }
    return {
        "credential": connect(**{"credential": CREDENTIAL, "oauth2-server-uri": TOKEN_URL, "scope": SCOPE}),
        "manager": connect(auth={"type": "oauth2", "oauth2": manager}),
    }


def test_tokens_of_a_provider_are_renewed():
    """Each way goes on until the token that it began with is refused."""
    begun = time.monotonic()
    given = connect(token=token())
    given.create_namespace("given")
    tables = {}
    for way, catalog in renewing().items():
        catalog.create_namespace(way)
        tables[way] = catalog.create_table((way, "t"), SCHEMA)
    count = 0
    while time.monotonic() < begun + float(os.environ["FLOEBERG_TEST_SECONDS"]):
        for table in tables.values():
            table.append(pa.table({"n": [count]}, schema=SCHEMA))
        count += 1
        time.sleep(0.3)
    with pytest.raises(UnauthorizedError):
        given.list_namespaces()
    for way, table in tables.items():
        assert sorted(table.refresh().scan().to_arrow()["n"].to_pylist()) == list(range(count)), way
    # A new one is as good as the first was.
    assert ("given",) in connect(token=token()).list_namespaces()
