"""Get the data sets that the benchmarks read: from their public repositories, each file at one commit.

    python benchmarks/data.py DATA                    # the sets of all benchmarks
    python benchmarks/data.py DATA --for few_labels   # those of one: anon, encoders, few_labels, generation, ml_ipd

DATA then has a folder for each set, with a file for each split: JSON Lines, packed where it is large. Every file is
checked against a SHA-256 sum of its rows, so it holds the very rows that docs/results/ is about; a file that is there
and right is not made again. Nothing is written of a file that is not right: then its source has changed.

Mind the licences, which stand with each set in data_sets/. Those of tweets and news may not be passed on.

`--base` names a copy of the repositories with the layout of raw.githubusercontent.com, OWNER/NAME/COMMIT/PATH: another
server, or `file:///folder`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import urllib.error
import urllib.request
import zlib
from functools import partial
from pathlib import Path
from urllib.parse import quote

from data_sets import SETS
from data_sets.base import Source

BASE = "https://raw.githubusercontent.com"
TIMEOUT_S, TRIES = 60, 3
LARGEST_FILE = 64 * 2**20


def get(name: str, folder: Path, base: str) -> None:
    """Make the files of one set that are not there, or are not right."""
    data_set = SETS[name]
    read_so_far: dict[str, bytes] = {}

    def read(source: Source, path: str) -> bytes:
        url = f"{base}/{source.repository}/{source.commit}/{quote(path)}"
        if url not in read_so_far:
            read_so_far[url] = download(url)
        return read_so_far[url]

    for file, wanted in data_set.files.items():
        path = folder / name / file
        if path.exists() and digest(path) == wanted:
            print(f"{path}: there", flush=True)
            continue
        rows = data_set.rows(partial(read, data_set.source(file)), file.split(".")[0])
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise SystemExit(f"{path}: its rows have SHA-256 {found}, not {wanted}; not written")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
        part.replace(path)
        rows_written = content.count(b"\n")
        print(f"{path}: {rows_written:,} rows ({data_set.licence})", flush=True)


def digest(path: Path) -> str:
    content = path.read_bytes()
    try:
        return hashlib.sha256(gzip.decompress(content) if path.suffix == ".gz" else content).hexdigest()
    except (OSError, EOFError, zlib.error):
        return "damaged"


def download(url: str) -> bytes:
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read(LARGEST_FILE + 1)
        except (OSError, urllib.error.URLError) as error:
            if attempt + 1 == TRIES or (isinstance(error, urllib.error.HTTPError) and error.code == 404):
                raise SystemExit(f"{url}: {error}") from error
            continue
        if len(content) > LARGEST_FILE:
            raise SystemExit(f"{url}: more than {LARGEST_FILE:,} bytes")
        return content
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder for the sets")
    parser.add_argument("--for", dest="benchmark", choices=sorted({one for s in SETS.values() for one in s.wanted_by}))
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), help="some sets instead")
    parser.add_argument("--base", default=BASE)
    options = parser.parse_args()
    for name, data_set in SETS.items():
        if name in (options.sets or [name]) and (options.benchmark is None or options.benchmark in data_set.wanted_by):
            get(name, options.data, options.base.rstrip("/"))


if __name__ == "__main__":
    main()
