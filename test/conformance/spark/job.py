"""One job of SQL, done by Spark on each catalog that it is given.

usage: job.py CONFIG

CONFIG is a JSON file: "conf" is the configuration of the session, "catalogs"
are the names of the catalogs, "out" is the file that gets what was seen.
"""

import json
import logging
import sys

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from steps import Steps, await_no_files, files, table_folder, write


def refusal(e: Exception) -> str:
    """The cause that is farthest down, without its stack."""
    if isinstance(e, Py4JJavaError):
        cause = e.java_exception
    elif isinstance(e, PySparkException):
        cause = e._origin
    else:
        raise e
    text = str(e)
    while cause is not None:
        text = cause.toString()
        cause = cause.getCause()
    return text.splitlines()[0]


def snapshot(job: Steps, table: str, number: int) -> int:
    """The id of a table's snapshot, the oldest being 0."""
    return job.rows(f"SELECT snapshot_id FROM @.{table}.snapshots ORDER BY committed_at, snapshot_id")[number][0]


def namespaces(job: Steps) -> None:
    job.all(
        "namespaces",
        "CREATE NAMESPACE @.lab COMMENT 'ice' WITH PROPERTIES (colour = 'white')",
        "CREATE NAMESPACE @.lab",
        "CREATE NAMESPACE IF NOT EXISTS @.lab",
        "CREATE NAMESPACE @.lab.deep",
        "CREATE NAMESPACE @.lab.deep.deeper",
        "SHOW NAMESPACES IN @",
        "SHOW NAMESPACES IN @.lab",
        "SHOW NAMESPACES IN @.nowhere",
        "ALTER NAMESPACE @.lab SET PROPERTIES (colour = 'blue', depth = '7')",
        "ALTER NAMESPACE @.lab UNSET PROPERTIES (colour)",
        "DESCRIBE NAMESPACE EXTENDED @.lab",
        "DROP NAMESPACE @.lab",
        "DROP NAMESPACE @.lab.deep.deeper",
        "DROP NAMESPACE @.lab.deep.deeper",
        "DROP NAMESPACE IF EXISTS @.lab.deep.deeper",
        "SHOW NAMESPACES IN @.lab.deep",
    )


def create(job: Steps) -> None:
    job.all(
        "create",
        "CREATE TABLE @.lab.plain (id BIGINT NOT NULL COMMENT 'key', name STRING, at TIMESTAMP) USING iceberg "
        "PARTITIONED BY (days(at), bucket(4, id)) TBLPROPERTIES ('a' = '1')",
        "CREATE TABLE @.lab.plain (id INT) USING iceberg",
        "CREATE TABLE IF NOT EXISTS @.lab.plain (id INT) USING iceberg",
        "CREATE TABLE @.nowhere.t (id INT) USING iceberg",
        "DESCRIBE TABLE @.lab.plain",
        "SHOW TBLPROPERTIES @.lab.plain",
        "ALTER TABLE @.lab.plain SET TBLPROPERTIES ('b' = '2', 'commit.retry.num-retries' = '6')",
        "ALTER TABLE @.lab.plain UNSET TBLPROPERTIES ('a')",
        "SHOW TBLPROPERTIES @.lab.plain",
        # Created and filled in one commit.
        "CREATE TABLE @.lab.ctas USING iceberg PARTITIONED BY (part) AS SELECT id, id % 3 AS part, CAST(id AS STRING) AS name FROM range(30)",
        "CREATE TABLE @.lab.ctas USING iceberg AS SELECT 1 AS id",
        "SELECT part, count(*), sum(id) FROM @.lab.ctas GROUP BY part",
        "SELECT operation, summary['added-records'], summary['total-records'] FROM @.lab.ctas.snapshots",
        # Replaced in one commit: the history stays.
        "CREATE OR REPLACE TABLE @.lab.ctas USING iceberg AS SELECT id, id * 2 AS twice FROM range(10)",
        "SELECT * FROM @.lab.ctas",
        "SELECT count(*) FROM @.lab.ctas.snapshots",
        "REPLACE TABLE @.lab.ctas USING iceberg PARTITIONED BY (bucket(2, id)) AS SELECT id, 'x' AS x FROM range(4)",
        "REPLACE TABLE @.lab.none USING iceberg AS SELECT 1 AS id",
        "CREATE OR REPLACE TABLE @.lab.fresh USING iceberg AS SELECT 1 AS id",
        "DESCRIBE TABLE @.lab.ctas",
        "SELECT made_current_at IS NOT NULL, parent_id IS NULL, is_current_ancestor FROM @.lab.ctas.history",
        "SHOW TABLES IN @.lab",
        "SELECT * FROM @.lab.none",
    )


def change(job: Steps) -> None:
    for mode in ("copy-on-write", "merge-on-read"):
        t = "@.lab." + mode.replace("-", "_")
        job.all(
            mode,
            f"CREATE TABLE {t} (id BIGINT, name STRING, size DOUBLE) USING iceberg TBLPROPERTIES ('format-version' = '2', "
            f"'write.delete.mode' = '{mode}', 'write.update.mode' = '{mode}', 'write.merge.mode' = '{mode}')",
            f"INSERT INTO {t} SELECT id, concat('floe ', id), id / 2 FROM range(20)",
            f"DELETE FROM {t} WHERE id % 5 = 0",
            f"UPDATE {t} SET name = 'grown', size = size * 10 WHERE id > 15",
            f"MERGE INTO {t} AS t USING (SELECT id, 'merged' AS name, 0.0D AS size FROM range(17, 23)) AS s ON t.id = s.id "
            "WHEN MATCHED AND s.id = 17 THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT *",
            f"SELECT * FROM {t}",
            f"SELECT operation, summary['total-records'], summary['total-delete-files'] FROM {t}.snapshots",
            f"INSERT OVERWRITE {t} SELECT id, 'over', 0 FROM range(2)",
            f"SELECT * FROM {t}",
            f"SELECT content, count(*), sum(record_count) FROM {t}.all_files GROUP BY content",
        )


def evolve(job: Steps) -> None:
    t = "@.lab.evolving"
    job.all(
        "schema",
        f"CREATE TABLE {t} (id INT NOT NULL, name STRING, gone STRING, place STRUCT<lat: FLOAT, lon: FLOAT>) USING iceberg",
        f"INSERT INTO {t} VALUES (1, 'a', 'x', named_struct('lat', 78.0F, 'lon', 15.0F))",
        f"ALTER TABLE {t} ADD COLUMNS (depth FLOAT COMMENT 'metres', tags ARRAY<STRING>, attributes MAP<STRING, INT>)",
        f"ALTER TABLE {t} ADD COLUMN place.height FLOAT AFTER lat",
        f"ALTER TABLE {t} RENAME COLUMN name TO title",
        f"ALTER TABLE {t} RENAME COLUMN place.lon TO longitude",
        f"ALTER TABLE {t} DROP COLUMN gone",
        f"ALTER TABLE {t} ALTER COLUMN id TYPE BIGINT",
        f"ALTER TABLE {t} ALTER COLUMN depth TYPE DOUBLE",
        f"ALTER TABLE {t} ALTER COLUMN depth FIRST",
        f"ALTER TABLE {t} ALTER COLUMN title AFTER depth",
        f"ALTER TABLE {t} ALTER COLUMN title COMMENT 'a title'",
        f"ALTER TABLE {t} ALTER COLUMN id DROP NOT NULL",
        f"ALTER TABLE {t} ALTER COLUMN id TYPE INT",
        f"ALTER TABLE {t} ADD COLUMN title STRING",
        f"ALTER TABLE {t} DROP COLUMN absent",
        f"DESCRIBE TABLE {t}",
        f"INSERT INTO {t} VALUES (1.5D, 'b', 2, named_struct('lat', 1F, 'height', 2F, 'longitude', 3F), array('t'), map('k', 1))",
        f"SELECT * FROM {t}",
        # A dropped column does not come back with a name.
        f"ALTER TABLE {t} ADD COLUMN gone STRING",
        f"SELECT gone, title FROM {t}",
    )
    job.all(
        "partitions",
        f"ALTER TABLE {t} ADD PARTITION FIELD bucket(4, id)",
        f"INSERT INTO {t} (id, title) VALUES (3, 'c'), (4, 'd')",
        f"ALTER TABLE {t} ADD PARTITION FIELD truncate(1, title) AS initial",
        f"ALTER TABLE {t} REPLACE PARTITION FIELD bucket(4, id) WITH bucket(8, id) AS eighth",
        f"INSERT INTO {t} (id, title) VALUES (5, 'e')",
        f"ALTER TABLE {t} DROP PARTITION FIELD initial",
        f"ALTER TABLE {t} DROP PARTITION FIELD absent",
        f"INSERT INTO {t} (id, title) VALUES (6, 'f')",
        f"SELECT id, title FROM {t} WHERE id IN (3, 6)",
        f"SELECT spec_id, sum(record_count), count(*) FROM {t}.files GROUP BY spec_id",
        f"SELECT partition, spec_id, record_count, file_count FROM {t}.partitions",
        f"ALTER TABLE {t} WRITE ORDERED BY title, id DESC",
        f"ALTER TABLE {t} WRITE DISTRIBUTED BY PARTITION",
        f"ALTER TABLE {t} ALTER COLUMN id SET NOT NULL",
        f"SHOW TBLPROPERTIES {t}",
        f"DESCRIBE TABLE {t}",
    )
    job.all(
        "identifier fields",
        "ALTER TABLE @.lab.plain SET IDENTIFIER FIELDS id",
        "ALTER TABLE @.lab.plain SET IDENTIFIER FIELDS name",
        "ALTER TABLE @.lab.plain DROP COLUMN id",
        "ALTER TABLE @.lab.plain DROP IDENTIFIER FIELDS id",
    )


def references(job: Steps) -> None:
    t = "@.lab.forked"
    job.all(
        "branches",
        f"CREATE TABLE {t} (id BIGINT) USING iceberg",
        f"ALTER TABLE {t} CREATE BRANCH early",
        f"INSERT INTO {t} SELECT id FROM range(5)",
        f"ALTER TABLE {t} CREATE BRANCH audit RETAIN 7 DAYS WITH SNAPSHOT RETENTION 2 SNAPSHOTS 3 DAYS",
        f"ALTER TABLE {t} CREATE BRANCH audit",
        f"ALTER TABLE {t} CREATE BRANCH IF NOT EXISTS audit",
        f"ALTER TABLE {t} CREATE TAG first RETAIN 30 DAYS",
        f"ALTER TABLE {t} CREATE OR REPLACE TAG first",
        f"INSERT INTO {t}.branch_audit SELECT id FROM range(100, 103)",
        f"SELECT count(*) FROM {t}",
        f"SELECT count(*) FROM {t} VERSION AS OF 'audit'",
        f"SELECT count(*) FROM {t} VERSION AS OF 'early'",
        f"SELECT count(*) FROM {t}.tag_first",
        f"SELECT count(*) FROM {t} VERSION AS OF 'absent'",
        f"INSERT INTO {t}.branch_absent VALUES (1)",
        f"SELECT * FROM {t}.refs",
        "CALL @.system.fast_forward('lab.forked', 'main', 'audit')",
        f"SELECT count(*) FROM {t}",
        f"INSERT INTO {t} VALUES (500)",
        "CALL @.system.fast_forward('lab.forked', 'audit', 'main')",
        f"INSERT INTO {t} VALUES (501)",
        f"INSERT INTO {t}.branch_audit VALUES (502)",
        "CALL @.system.fast_forward('lab.forked', 'main', 'audit')",
        f"ALTER TABLE {t} DROP TAG first",
        f"ALTER TABLE {t} DROP BRANCH early",
        f"ALTER TABLE {t} DROP BRANCH early",
        f"ALTER TABLE {t} DROP BRANCH IF EXISTS early",
        f"ALTER TABLE {t} DROP BRANCH main",
        f"SELECT name, type, snapshot_id FROM {t}.refs",
    )


def history(job: Steps) -> None:
    t = "@.lab.travel"
    job.do("travel: create", f"CREATE TABLE {t} (id BIGINT) USING iceberg")
    for i in range(4):
        job.do(f"travel: insert {i}", f"INSERT INTO {t} SELECT id FROM range({i * 10}, {i * 10 + 10})")
    second = snapshot(job, "lab.travel", 1)
    when = job.rows(f"SELECT committed_at + INTERVAL 1 MILLISECOND FROM {t}.snapshots WHERE snapshot_id = {second}")[0][0]
    job.all(
        "travel",
        f"SELECT count(*), max(id) FROM {t} VERSION AS OF {second}",
        f"SELECT count(*), max(id) FROM {t} TIMESTAMP AS OF '{when}'",
        f"SELECT count(*) FROM {t} TIMESTAMP AS OF '2001-01-01 00:00:00'",
        f"SELECT count(*) FROM {t} VERSION AS OF 42",
        f"SELECT operation, parent_id IS NULL, summary['total-records'] FROM {t}.snapshots",
        f"SELECT is_current_ancestor, count(*) FROM {t}.history GROUP BY is_current_ancestor",
        f"SELECT count(*), sum(record_count) FROM {t}.files",
        f"SELECT count(*), sum(added_data_files_count) FROM {t}.manifests",
        f"SELECT count(*) FROM {t}.metadata_log_entries",
        f"SELECT latest_schema_id, latest_sequence_number FROM {t}.metadata_log_entries",
        f"CALL @.system.rollback_to_snapshot('lab.travel', {second})",
        f"SELECT count(*) FROM {t}",
        f"SELECT is_current_ancestor, count(*) FROM {t}.history GROUP BY is_current_ancestor",
        f"CALL @.system.rollback_to_snapshot('lab.travel', 42)",
        f"CALL @.system.set_current_snapshot('lab.travel', {snapshot(job, 'lab.travel', 3)})",
        f"CALL @.system.cherrypick_snapshot('lab.travel', {second})",
        f"SELECT count(*) FROM {t}",
        f"CALL @.system.ancestors_of('lab.travel')",
    )


def views(job: Steps) -> None:
    job.all(
        "views",
        "CREATE VIEW @.lab.even (key COMMENT 'the key', title) COMMENT 'half of it' TBLPROPERTIES ('made' = 'once') "
        "AS SELECT id, name FROM @.lab.merge_on_read WHERE id % 2 = 0",
        "CREATE VIEW @.lab.even AS SELECT 1 AS one",
        "CREATE VIEW IF NOT EXISTS @.lab.even AS SELECT 1 AS one",
        "CREATE VIEW @.lab.plain AS SELECT 1 AS one",
        "CREATE TABLE @.lab.even (id INT) USING iceberg",
        "CREATE VIEW @.nowhere.v AS SELECT 1 AS one",
        "SELECT * FROM @.lab.even",
        "CREATE VIEW @.lab.nested AS SELECT count(*) AS n FROM @.lab.even",
        "SELECT * FROM @.lab.nested",
        "DESCRIBE TABLE EXTENDED @.lab.even",
        "SHOW VIEWS IN @.lab",
        "SHOW TABLES IN @.lab",
        "CREATE OR REPLACE VIEW @.lab.even AS SELECT id AS two FROM @.lab.merge_on_read",
        "SELECT * FROM @.lab.even",
        "ALTER VIEW @.lab.even SET TBLPROPERTIES ('made' = 'again', 'more' = '1')",
        "ALTER VIEW @.lab.even UNSET TBLPROPERTIES ('more')",
        "SHOW TBLPROPERTIES @.lab.even",
        "ALTER VIEW @.lab.even AS SELECT 7 AS seven",
        "SELECT * FROM @.lab.even",
        "SHOW CREATE TABLE @.lab.even",
        "ALTER VIEW @.lab.even RENAME TO @.lab.deep.renamed",
        "SELECT * FROM @.lab.deep.renamed",
        "SELECT * FROM @.lab.even",
        "ALTER VIEW @.lab.nested RENAME TO @.lab.plain",
        "ALTER VIEW @.lab.nested RENAME TO @.lab.deep.renamed",
        "ALTER VIEW @.lab.nested RENAME TO @.nowhere.v",
        "DROP NAMESPACE @.lab.deep",
        "DROP VIEW @.lab.deep.renamed",
        "DROP VIEW @.lab.deep.renamed",
        "DROP VIEW IF EXISTS @.lab.deep.renamed",
        "DROP VIEW @.lab.plain",
        "DROP VIEW @.lab.nested",
        "SHOW VIEWS IN @.lab",
    )


def rename(job: Steps) -> None:
    job.all(
        "rename",
        "ALTER TABLE @.lab.fresh RENAME TO lab.deep.moved",
        "SELECT * FROM @.lab.deep.moved",
        "INSERT INTO @.lab.deep.moved VALUES (2)",
        "SELECT * FROM @.lab.deep.moved",
        "SELECT * FROM @.lab.fresh",
        "ALTER TABLE @.lab.deep.moved RENAME TO lab.plain",
        "ALTER TABLE @.lab.absent RENAME TO lab.other",
        "ALTER TABLE @.lab.deep.moved RENAME TO nowhere.moved",
        "CREATE TABLE @.lab.fresh (id INT) USING iceberg",
        "ALTER TABLE @.lab.deep.moved RENAME TO lab.fresh_again",
        "SHOW TABLES IN @.lab.deep",
        "DROP TABLE @.lab.fresh",
        "DROP TABLE @.lab.fresh_again",
        "DROP TABLE @.lab.fresh_again",
        "DROP TABLE IF EXISTS @.lab.fresh_again",
        "SHOW TABLES IN @.lab",
    )


def maintain(job: Steps) -> None:
    t = "@.lab.travel"
    job.all(
        "procedures",
        "CALL @.system.rewrite_data_files(table => 'lab.travel', options => map('min-input-files', '2'))",
        f"SELECT count(*) FROM {t}.files",
        f"CALL @.system.rewrite_manifests('lab.travel')",
        "CALL @.system.expire_snapshots(table => 'lab.travel', older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1)",
        f"SELECT count(*) FROM {t}.snapshots",
        f"SELECT count(*), sum(id) FROM {t}",
        "CALL @.system.remove_orphan_files(table => 'lab.travel', older_than => TIMESTAMP '2001-01-01 00:00:00', dry_run => true)",
        "CALL @.system.compute_table_stats('lab.travel')",
        "CALL @.system.compute_partition_stats('lab.evolving')",
        "CALL @.system.rewrite_position_delete_files('lab.merge_on_read')",
    )
    # Registered under a name other than its own.
    file = job.rows(f"SELECT file FROM {t}.metadata_log_entries ORDER BY timestamp DESC LIMIT 1")[0][0]
    job.all(
        "register",
        f"DROP TABLE {t}",
        f"CALL @.system.register_table('lab.registered', '{file}')",
        "SELECT count(*), sum(id) FROM @.lab.registered",
        f"CALL @.system.register_table('lab.registered', '{file}')",
        f"CALL @.system.register_table('nowhere.registered', '{file}')",
        "INSERT INTO @.lab.registered VALUES (1000)",
        "SELECT count(*) FROM @.lab.registered",
    )


def version_three(job: Steps) -> None:
    t = "@.lab.three"
    job.all(
        "version 3",
        f"CREATE TABLE {t} (id BIGINT, v VARIANT) USING iceberg TBLPROPERTIES ('format-version' = '3', 'write.delete.mode' = 'merge-on-read', "
        "'write.update.mode' = 'merge-on-read')",
        f"""INSERT INTO {t} SELECT id, parse_json('{{"a": 1}}') FROM range(4)""",
        f"DELETE FROM {t} WHERE id = 1",
        f"UPDATE {t} SET id = 20 WHERE id = 2",
        f"SELECT id, to_json(v), _row_id, _last_updated_sequence_number FROM {t}",
        f"SELECT content, file_format, count(*) FROM {t}.all_files GROUP BY content, file_format",
        f"ALTER TABLE {t} SET TBLPROPERTIES ('format-version' = '2')",
        "ALTER TABLE @.lab.copy_on_write SET TBLPROPERTIES ('format-version' = '3')",
        "INSERT INTO @.lab.copy_on_write VALUES (9, 'upgraded', 1)",
        "SELECT id, _row_id FROM @.lab.copy_on_write",
    )


def names(job: Steps) -> None:
    for i, name in enumerate(["with space", "a+b", "per%cent", "a%2Fb", "ünïcode", "it's", "日本", "a/b"]):
        t = f"@.lab.`{name}`"
        job.all(
            f"names {i}",
            f"CREATE NAMESPACE {t}",
            f"CREATE TABLE {t}.`{name}` (`{name}` INT) USING iceberg",
            f"INSERT INTO {t}.`{name}` VALUES (1)",
            f"SELECT * FROM {t}.`{name}`",
            f"SHOW TABLES IN {t}",
            f"DROP TABLE {t}.`{name}`",
            f"DROP NAMESPACE {t}",
        )


def drop(job: Steps) -> None:
    """A purge takes the files along; a drop does not."""
    job.all(
        "drop",
        "CREATE TABLE @.lab.doomed USING iceberg TBLPROPERTIES ('format-version' = '2', 'write.delete.mode' = 'merge-on-read') AS SELECT id FROM range(10)",
        "DELETE FROM @.lab.doomed WHERE id = 3",
    )
    folders = {}
    for name in ("doomed", "registered", "ctas"):
        path = job.rows(f"SELECT file FROM @.lab.{name}.metadata_log_entries LIMIT 1")[0][0]
        folders[name] = table_folder(path)
    job.do("drop 3", "DROP TABLE @.lab.doomed PURGE")
    job.do("drop 4", "DROP TABLE @.lab.doomed PURGE")
    job.do("drop 5", "DROP TABLE @.lab.ctas")
    job.saw("files after a purge", await_no_files(folders["doomed"]))
    job.saw("files after a drop", len(files(folders["ctas"])) > 0)
    job.saw("files of another table", len(files(folders["registered"])) > 0)
    for name in ("plain", "copy_on_write", "merge_on_read", "evolving", "forked", "three", "registered"):
        job.do(f"drop {name}", f"DROP TABLE @.lab.{name}")
    # What was left over makes this fail.
    job.all("drop namespaces", "DROP NAMESPACE @.lab.deep", "DROP NAMESPACE @.lab", "SHOW NAMESPACES IN @", "CREATE NAMESPACE @.nowhere.below")


PARTS = [namespaces, create, change, evolve, references, history, views, rename, maintain, version_three, names, drop]


def main() -> None:
    with open(sys.argv[1]) as f:
        config = json.load(f)
    builder = SparkSession.builder.master("local[2]")
    for key, value in config["conf"].items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    # Refusals are part of the job: they are results, not news.
    spark.sparkContext.setLogLevel("OFF")
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    jobs = []
    for catalog in config["catalogs"]:
        job = Steps(catalog, lambda statement: spark.sql(statement).collect(), refusal)
        for part in PARTS:
            job.part(part)
        jobs.append(job)
    write(config["out"], jobs)
    spark.stop()


if __name__ == "__main__":
    main()
