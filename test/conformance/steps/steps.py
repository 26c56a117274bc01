"""What jobs have in common: steps whose results two catalogs can be compared by."""

import json
import os
import re
import time
from collections.abc import Callable
from urllib.parse import unquote, urlparse

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PATH = re.compile(r"file:[^\s,;'\"\])}]+")
_URL = re.compile(r"https?://[^\s,;'\"\])}]+")
_SNAPSHOT = re.compile(r"(?<![0-9])[0-9]{15,19}(?![0-9])")
_MILLIS = re.compile(r"(?<![0-9])[12][0-9]{12}(?![0-9])")


class Steps:
    """The steps that were done on one catalog, and what each gave.

    run takes a statement and gives its rows; refusal tells why an error was
    raised, and raises what is none of the catalog.
    """

    def __init__(self, catalog: str, run: Callable[[str], list], refusal: Callable[[Exception], str]):
        self.catalog = catalog
        self.results: list[list] = []
        self._run = run
        self._refusal = refusal
        self._snapshots: dict[str, str] = {}

    def rows(self, statement: str) -> list[list]:
        """The rows of a statement, in which @ stands for the catalog."""
        return [list(row) for row in self._run(statement.replace("@", self.catalog))]

    def do(self, step: str, statement: str) -> None:
        """Runs a statement; its rows, or why it was refused, are the result."""
        try:
            # In an order that does not hang on ids, which are numbered as they come.
            rows = sorted(self.rows(statement), key=lambda row: _SNAPSHOT.sub("", str(row)))
            self.saw(step, rows)
        except Exception as e:
            self.saw(step, {"refused": self._refusal(e)})

    def all(self, step: str, *statements: str) -> None:
        for i, statement in enumerate(statements):
            self.do(f"{step} {i + 1}", statement)

    def saw(self, step: str, result) -> None:
        self.results.append([step, self._canonical(result)])

    def part(self, part: Callable[["Steps"], None]) -> None:
        """Does a part of the job. Where it breaks off, that is a result, too."""
        began = time.monotonic()
        try:
            part(self)
        except Exception as e:
            self.saw(f"the end of {part.__name__}", self._refusal(e))
        print(f"\n{self.catalog} {part.__name__}: {time.monotonic() - began:.1f} s", flush=True)

    def _canonical(self, value):
        """The value without what two catalogs can't have in common."""
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, (list, tuple)):
            return [self._canonical(v) for v in value]
        if isinstance(value, dict):
            return {self._canonical(str(k)): self._canonical(v) for k, v in sorted(value.items())}
        text = _URL.sub("<url>", _PATH.sub("<path>", str(value)))
        text = _SNAPSHOT.sub(lambda m: self._snapshots.setdefault(m[0], f"<snapshot {len(self._snapshots) + 1}>"), _UUID.sub("<uuid>", text))
        text = re.sub(rf"\b{self.catalog}\b", "<catalog>", _MILLIS.sub("<time>", text))
        return value if isinstance(value, int) and not text.startswith("<") else text


def files(folder: str) -> list[str]:
    """The files below a folder; the checksums that Hadoop puts beside them are none."""
    return [os.path.join(root, name) for root, _, found in os.walk(folder) for name in found if not name.endswith(".crc")]


def table_folder(metadata_file: str) -> str:
    """The folder of a table on this machine, by the location of one of its metadata files."""
    return os.path.dirname(os.path.dirname(unquote(urlparse(metadata_file).path)))


def await_no_files(folder: str) -> list[str]:
    """The names that are left when a purge had its time: none, or what it forgot."""
    until = time.monotonic() + 60
    while (left := files(folder)) and time.monotonic() < until:
        time.sleep(0.1)
    return sorted(_UUID.sub("<uuid>", os.path.relpath(name, folder)) for name in left)


def write(out: str, jobs: list[Steps]) -> None:
    """Writes what was seen on each catalog."""
    with open(out, "w") as f:
        json.dump({job.catalog: job.results for job in jobs}, f)
