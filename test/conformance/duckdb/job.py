"""One job of SQL, done by DuckDB on each catalog that it is given.

usage: job.py CONFIG

CONFIG is a JSON file: "attach" is the program that attaches each catalog, by
the catalog's name; "out" is the file that gets what was seen.
"""

import glob
import importlib
import json
import os
import re
import sys
import tempfile

import duckdb
from steps import Steps, write


def connect(folder: str) -> duckdb.DuckDBPyConnection:
    """A database in memory that finds its extensions in a folder of their own."""
    con = duckdb.connect(config={"extension_directory": folder})
    for name in ("avro", "httpfs", "iceberg"):
        package = importlib.import_module(f"duckdb_extension_{name}")
        (file,) = glob.glob(os.path.join(os.path.dirname(package.__file__), "extensions", "*", "*.duckdb_extension"))
        con.execute(f"INSTALL '{file}'")
    return con


def refusal(e: Exception) -> str:
    """The kind of the error and its first line; of an answer's body, the kind of that error."""
    if not isinstance(e, duckdb.Error):
        raise e
    text, _, body = str(e).splitlines()[0].partition(", body: ")
    kind = re.search(r'"type":"(\w+)"', body)
    return f"{type(e).__name__}: {text}" + (f", {kind[1]}" if kind else "")


def tables(job: Steps) -> None:
    job.all(
        "tables",
        "CREATE SCHEMA @.lab",
        "CREATE SCHEMA @.lab",
        "CREATE SCHEMA IF NOT EXISTS @.lab",
        "CREATE TABLE @.lab.t (id BIGINT, name VARCHAR, seen TIMESTAMP)",
        "CREATE TABLE @.lab.t (id INT)",
        "CREATE TABLE IF NOT EXISTS @.lab.t (id INT)",
        "CREATE TABLE @.nowhere.t (id INT)",
        "INSERT INTO @.lab.t VALUES (1, 'a', TIMESTAMP '2026-01-01'), (2, 'b', NULL)",
        "SELECT * FROM @.lab.t",
        "UPDATE @.lab.t SET name = 'B' WHERE id = 2",
        "DELETE FROM @.lab.t WHERE id = 1",
        "MERGE INTO @.lab.t AS t USING (SELECT 2 AS id, 'm' AS name UNION ALL SELECT 5, 'n') AS s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, s.name)",
        "SELECT * FROM @.lab.t",
        "ALTER TABLE @.lab.t ADD COLUMN depth INT",
        "ALTER TABLE @.lab.t RENAME COLUMN name TO title",
        "ALTER TABLE @.lab.t DROP COLUMN seen",
        "DESCRIBE @.lab.t",
        "SHOW ALL TABLES",
        "SELECT sequence_number FROM iceberg_snapshots(@.lab.t)",
        "CREATE TABLE @.lab.parts (id BIGINT, part VARCHAR) PARTITIONED BY (part)",
        "INSERT INTO @.lab.parts VALUES (1, 'x'), (2, 'y')",
        "SELECT * FROM @.lab.parts WHERE part = 'y'",
        "CREATE TABLE @.lab.three (id BIGINT) WITH ('format-version' = '3', 'a' = '1')",
        "INSERT INTO @.lab.three VALUES (1)",
        "DELETE FROM @.lab.three",
        "CALL set_iceberg_table_properties(@.lab.three, {'b': '2'})",
        "CALL remove_iceberg_table_properties(@.lab.three, ['a'])",
        # Written by a server when it stages a table; what it is differs with each run.
        "SELECT * FROM iceberg_table_properties(@.lab.three) WHERE key <> 'created-at'",
    )


def transactions(job: Steps) -> None:
    job.all(
        "transactions",
        "BEGIN",
        "INSERT INTO @.lab.t (id) VALUES (7)",
        "UPDATE @.lab.t SET title = 'two' WHERE id = 2",
        "COMMIT",
        "SELECT * FROM @.lab.t",
        # Two tables at once.
        "BEGIN",
        "INSERT INTO @.lab.t (id) VALUES (8)",
        "INSERT INTO @.lab.parts VALUES (8, 'z')",
        "COMMIT",
        "SELECT count(*) FROM @.lab.t",
        "SELECT count(*) FROM @.lab.parts",
        "BEGIN",
        "INSERT INTO @.lab.t (id) VALUES (9)",
        "ROLLBACK",
        "SELECT count(*) FROM @.lab.t",
    )


def staged(job: Steps) -> None:
    """A table that is created with its first rows: DuckDB writes below metadata/ before the commit."""
    job.all(
        "staged",
        "CREATE TABLE @.lab.made AS SELECT i AS id, i % 3 AS part FROM range(10) r(i)",
        "SELECT part, count(*) FROM @.lab.made GROUP BY part",
        "DROP TABLE @.lab.made",
    )


def names(job: Steps) -> None:
    for i, name in enumerate(["with space", "a+b", "ünïcode", "it's", "per%cent", "a/b"]):
        job.all(
            f"names {i}",
            f'CREATE SCHEMA @."{name}"',
            f'CREATE TABLE @."{name}"."{name}" (id INT)',
            f'INSERT INTO @."{name}"."{name}" VALUES (1)',
            f'SELECT * FROM @."{name}"."{name}"',
            f'DROP TABLE @."{name}"."{name}"',
            f'DROP SCHEMA @."{name}"',
        )


def drop(job: Steps) -> None:
    job.all(
        "drop",
        "DROP SCHEMA @.lab",
        "DROP TABLE @.lab.t",
        "DROP TABLE @.lab.t",
        "DROP TABLE IF EXISTS @.lab.t",
        "DROP TABLE @.lab.parts",
        "DROP TABLE @.lab.three",
        "SHOW ALL TABLES",
        "DROP SCHEMA @.lab",
    )


def nested(job: Steps) -> None:
    """DuckDB shows a namespace of two levels with a dot, and asks for it with 0x1F."""
    job.all(
        "nested",
        "CREATE SCHEMA @.top",
        'CREATE SCHEMA @."top.below"',
        'CREATE TABLE @."top.below".t (id INT)',
        'INSERT INTO @."top.below".t VALUES (1)',
        'SELECT * FROM @."top.below".t',
        "DROP SCHEMA @.top",
        'DROP TABLE @."top.below".t',
        'DROP SCHEMA @."top.below"',
        "DROP SCHEMA @.top",
    )


# Names come last: those that a server refuses on some paths only stay behind there.
PARTS = [tables, transactions, staged, drop, nested, names]


def main() -> None:
    with open(sys.argv[1]) as f:
        config = json.load(f)
    jobs = []
    with tempfile.TemporaryDirectory() as folder:
        for catalog, program in config["attach"].items():
            con = connect(folder)
            con.execute(program)
            job = Steps(catalog, lambda statement, con=con: con.execute(statement).fetchall(), refusal)
            for part in PARTS:
                job.part(part)
            jobs.append(job)
            con.close()
    write(config["out"], jobs)


if __name__ == "__main__":
    main()
