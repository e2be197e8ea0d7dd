"""The data sets of the benchmarks, from a server on loopback and from a folder."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = [{"instruction": "a", "input": "", "response": "ä"}, {"instruction": "b", "input": "c", "response": "d"}]
WRITTEN = (
    b'{"instruction": "a", "input": "", "output": "\xc3\xa4"}\n{"instruction": "b", "input": "c", "output": "d"}\n'
)


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import data  # type: ignore[import-not-found]

    yield data
    for name in [name for name in sys.modules if name.split(".")[0] in ("data", "data_sets")]:
        del sys.modules[name]


@pytest.fixture
def repositories(data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one repository at its commit, with two rows, which the set is said to have."""
    sha = hashlib.sha256(WRITTEN).hexdigest()
    whole = data.SETS["gpteacher"]
    files = dict.fromkeys(whole.files, sha)
    monkeypatch.setitem(data.SETS, "gpteacher", dataclasses.replace(whole, files=files))
    folder = tmp_path / "copy" / whole.repository / whole.commit
    for path in ("Roleplay/roleplay-simple-deduped-roleplay-instruct.json", "Codegen/codegen-instruct.json"):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(json.dumps(ROWS), encoding="utf-8")
    return tmp_path / "copy"


def run(data: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["data.py", *words])
    data.main()


def test_files_are_fetched_converted_and_not_made_again(
    data: ModuleType,
    repositories: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(repositories)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    words = (str(tmp_path / "DATA"), "--sets", "gpteacher", "--base", f"http://127.0.0.1:{server.server_port}/")
    try:
        run(data, monkeypatch, *words)
    finally:
        server.shutdown()
        server.server_close()
    made = tmp_path / "DATA" / "gpteacher" / "train_roleplay.jsonl.gz"
    assert gzip.decompress(made.read_bytes()) == WRITTEN
    capsys.readouterr()
    run(data, monkeypatch, *words)  # the server is gone
    assert capsys.readouterr().out.count(": there") == 2


def test_a_damaged_file_is_made_again_from_a_folder(
    data: ModuleType, repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "DATA" / "gpteacher" / "train_codegen.jsonl.gz"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"\x1f\x8bcut")
    run(data, monkeypatch, str(tmp_path / "DATA"), "--sets", "gpteacher", "--base", f"file://{repositories}")
    assert gzip.decompress(made.read_bytes()) == WRITTEN


def test_rows_that_are_others_are_not_written(
    data: ModuleType, repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in repositories.rglob("*.json"):
        path.write_text(json.dumps([*ROWS, ROWS[0]]), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"SHA-256 .*; not written"):
        run(data, monkeypatch, str(tmp_path / "DATA"), "--sets", "gpteacher", "--base", f"file://{repositories}")
    assert not list(tmp_path.glob("DATA/**/*.jsonl*"))


def test_what_is_not_there_is_named(
    data: ModuleType, repositories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in repositories.rglob("codegen*"):
        path.unlink()
    with pytest.raises(SystemExit, match=r"Codegen/codegen-instruct\.json"):
        run(data, monkeypatch, str(tmp_path / "DATA"), "--for", "generation", "--base", f"file://{repositories}")


def test_every_file_has_a_sum_and_every_source_a_commit(data: ModuleType) -> None:
    assert {s.wanted_by for s in data.SETS.values()} == {"anon", "generation", "ml_ipd"}
    for data_set in data.SETS.values():
        assert len(data_set.commit) == 40
        assert all(len(sha) == 64 for sha in data_set.files.values())
