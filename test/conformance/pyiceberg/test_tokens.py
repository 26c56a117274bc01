"""A client that is given a credential: it gets tokens for it, and new ones as they expire."""

import os
import time

import pyarrow as pa
import pytest
from conftest import connect
from pyiceberg.exceptions import OAuthError, RESTError, UnauthorizedError

CREDENTIAL = os.environ["FLOEBERG_TEST_CREDENTIAL"]


def ways():
    """The two ways in which PyIceberg takes a credential."""
    client_id, client_secret = CREDENTIAL.split(":", 1)
    yield {"credential": CREDENTIAL}
    yield {"credential": client_secret}
    yield {
        "auth": {
            "type": "oauth2",
            "oauth2": {
                "client_id": client_id,
                "client_secret": client_secret,
                "token_url": os.environ["FLOEBERG_TEST_URI"] + "/v1/oauth/tokens",
                "scope": "catalog",
            },
        }
    }


@pytest.mark.parametrize("config", ways(), ids=["id and secret", "secret", "header"])
def test_tokens_are_renewed(config):
    catalog = connect(**config)
    namespace = f"tokens_{time.time_ns()}"
    catalog.create_namespace(namespace)
    schema = pa.schema([("n", pa.int64())])
    table = catalog.create_table((namespace, "t"), schema)
    until = time.monotonic() + float(os.environ["FLOEBERG_TEST_SECONDS"])
    count = 0
    while time.monotonic() < until:
        table.append(pa.table({"n": [count]}, schema=schema))
        count += 1
        time.sleep(0.3)
    assert sorted(catalog.load_table((namespace, "t")).scan().to_arrow()["n"].to_pylist()) == list(range(count))


def test_a_wrong_credential_is_told():
    with pytest.raises((OAuthError, UnauthorizedError, RESTError)):
        connect(credential="key-0000000000000000:fb_wrong_0123456789abcdef").list_namespaces()
