"""What the tests share: a catalog whose requests go to a different node each."""

import itertools
import os

import pyiceberg
import pytest
from pyiceberg.catalog import Catalog, load_catalog

# Set where the catalog is Iceberg's reference server.
REFERENCE = "FLOEBERG_TEST_REFERENCE" in os.environ
# A year old: it parts levels with 0x1F, whatever the catalog advertises, and
# encodes names less than paths need.
OLD = pyiceberg.__version__.startswith("0.10.")
# The path prefix that the catalog gives its clients.
PREFIX = "" if REFERENCE else "default/"

_numbers = itertools.count()


def properties() -> dict[str, str]:
    """The configuration of a client, as its user would write it."""
    config = {
        "type": "rest",
        "uri": os.environ["FLOEBERG_TEST_URI"],
        "warehouse": "default",
        "token": os.environ["FLOEBERG_TEST_TOKEN"],
    }
    for name, variable in {
        "s3.endpoint": "FLOEBERG_TEST_S3_ENDPOINT",
        "s3.region": "FLOEBERG_TEST_S3_REGION",
        "s3.access-key-id": "FLOEBERG_TEST_S3_ACCESS_KEY",
        "s3.secret-access-key": "FLOEBERG_TEST_S3_SECRET_KEY",
    }.items():
        if variable in os.environ:
            config[name] = os.environ[variable]
    return config


def connect(**config) -> Catalog:
    """A client that proves itself otherwise than by a key as its token."""
    given = properties()
    del given["token"]
    return load_catalog("otherwise", **given, **config)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog("floeberg", **properties())


@pytest.fixture
def namespace(catalog: Catalog) -> str:
    name = f"ns_{os.getpid()}_{next(_numbers)}"
    catalog.create_namespace(name)
    return name
