"""Spark with clients that prove themselves in several ways, for longer than a token lives.

usage: tokens.py CONFIG

CONFIG is a JSON file: "conf" is the configuration of the session; "renewing" are the
catalogs whose clients get tokens by themselves; "given" is one whose client is given a
token, of "token_url" for "client_id", "client_secret" and "scope"; "seconds" is for how long;
"out" is the file that gets what was seen.
"""

import json
import sys
import time
from urllib.parse import urlencode
from urllib.request import urlopen

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession


def token(config: dict) -> str:
    form = {"grant_type": "client_credentials"} | {name: config[name] for name in ("client_id", "client_secret", "scope")}
    with urlopen(config["token_url"], urlencode(form).encode(), timeout=20) as answer:
        return json.load(answer)["access_token"]


def main() -> None:
    with open(sys.argv[1]) as f:
        config = json.load(f)
    builder = SparkSession.builder.master("local[2]")
    for key, value in config["conf"].items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")

    given = config["given"]
    spark.conf.set(f"spark.sql.catalog.{given}.token", token(config))
    began = time.monotonic()
    for catalog in [given, *config["renewing"]]:
        spark.sql(f"CREATE NAMESPACE {catalog}.of_{catalog}")
        spark.sql(f"CREATE TABLE {catalog}.of_{catalog}.t (n INT) USING iceberg")
    count = 0
    while time.monotonic() < began + config["seconds"]:
        for catalog in config["renewing"]:
            spark.sql(f"INSERT INTO {catalog}.of_{catalog}.t VALUES ({count})")
        count += 1
        time.sleep(0.5)
    try:
        spark.sql(f"SHOW TABLES IN {given}.of_{given}").collect()
        refused = ""
    except (Py4JJavaError, PySparkException) as e:
        refused = str(e)
    rows = {}
    for catalog in config["renewing"]:
        rows[catalog] = [row.n for row in spark.sql(f"SELECT n FROM {catalog}.of_{catalog}.t ORDER BY n").collect()]
    with open(config["out"], "w") as f:
        json.dump({"count": count, "rows": rows, "refused": refused}, f)
    spark.stop()


if __name__ == "__main__":
    main()
