"""Every kind of source, and the ways in which each can be broken."""

from __future__ import annotations

import csv
import gzip
import json
import socket
import time
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from limbeck.data.readers import read_records
from limbeck.data.records import BadRow, Fields, Record
from limbeck.data.sources import HubData, find_sources
from limbeck.errors import DataError

FIELDS = Fields(text="text", label="label")


def read(path: Path, content: bytes | None = None, fields: Fields = FIELDS) -> list[Record | BadRow]:
    if content is not None:
        path.write_bytes(content)
    [source] = find_sources(path, base=None, split="train")
    return list(read_records(source, fields))


def refusal(path: Path, content: bytes | None = None, fields: Fields = FIELDS) -> str:
    with pytest.raises(DataError) as caught:
        read(path, content, fields)
    return str(caught.value)


# JSON Lines


def test_json_lines(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"text": "a"}\r\n\r\n  \n{"text": "\xc3\xa9\xe2\x80\xa8b", "label": 1}'
    expected = [Record(1, {"text": "a"}), Record(4, {"text": "é\u2028b", "label": 1})]
    assert read(tmp_path / "a.jsonl", content) == expected
    assert read(tmp_path / "a.ndjson", content) == expected
    assert read(tmp_path / "a.json", content) == expected
    assert read(tmp_path / "a.jsonl.gz", gzip.compress(content)) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "not valid JSON: Expecting ',' delimiter (column 13)"),
        (b'{"text": a}  ', "not valid JSON: Expecting value (column 10)"),
        (b'{"text": "caf\xe9"}', "not UTF-8: byte 14 is 0xe9; save the file as UTF-8"),
        (b'["a", "b"]', "expected a JSON object such as {\"text\": ...}, got ['a', 'b']"),
        (b'"a"', "expected a JSON object such as {\"text\": ...}, got 'a'"),
        (b"null", 'expected a JSON object such as {"text": ...}, got None'),
        (b"[" * 100_000, "not usable JSON: nested too deeply"),
        (b"1" * 5000, "not usable JSON: Exceeds the limit (4300 digits)"),
    ],
)
def test_one_bad_line_does_not_end_the_reading(tmp_path: Path, line: bytes, reason: str) -> None:
    first, bad, last = read(tmp_path / "a.jsonl", b'{"text": "a"}\n' + line + b'\n{"text": "b"}\n')
    assert (first, last) == (Record(1, {"text": "a"}), Record(3, {"text": "b"}))
    assert isinstance(bad, BadRow)
    assert (bad.number, bad.field, bad.unit) == (2, None, "line")
    assert bad.reason.startswith(reason)


def test_json_lines_are_read_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a"}\n' * 100_000)
    [source] = find_sources(path, base=None, split="train")
    records = read_records(source, FIELDS)
    assert next(records) == Record(1, {"text": "a"})
    path.write_bytes(b"")  # what was not read yet is gone
    assert len(list(records)) < 50_000


# JSON arrays


def test_a_json_array(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\n [\n {"text": "a"},\n\n {"text": "b"}]\n'
    expected = [Record(1, {"text": "a"}, "row"), Record(2, {"text": "b"}, "row")]
    assert read(tmp_path / "a.json", content) == expected
    assert read(tmp_path / "a.json.gz", gzip.compress(content)) == expected


def test_a_json_array_with_a_row_that_is_no_object(tmp_path: Path) -> None:
    [_, bad] = read(tmp_path / "a.json", b'[{"text": "a"}, 7]')
    assert bad == BadRow(2, None, 'expected a JSON object such as {"text": ...}, got 7', 7, "row")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'[{"text": "a"},\n {"text": }]',
            ": not valid JSON: Expecting value (line 2, column 11). Expected one array",
        ),
        (b'[{"text": "\xff"}]', ": not UTF-8: byte 12 is 0xff; save the file as UTF-8. Expected one array"),
        (b'{\n "data": []\n}', " holds one object over several lines: expected one array of objects"),
    ],
)
def test_bad_json_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    assert refusal(path, content).startswith(f"{path}{message}")


def test_empty_files_have_no_rows(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json", "a.csv", "a.tsv"):
        assert read(tmp_path / name, b"") == []
    assert read(tmp_path / "b.csv", b"text,label\n") == []
    assert read(tmp_path / "b.json", b"[]") == []


# CSV and TSV


def test_csv(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbftext,label\r\n"a, ""b""\r\n\r\nc",x\r\n\r\nd,\r\n"e", \r\nf,y'
    expected = [
        Record(2, {"text": 'a, "b"\r\n\r\nc', "label": "x"}),
        Record(6, {"text": "d", "label": None}),
        Record(7, {"text": "e", "label": None}),
        Record(8, {"text": "f", "label": "y"}),
    ]
    assert read(tmp_path / "a.csv", content) == expected
    assert read(tmp_path / "a.csv.gz", gzip.compress(content)) == expected


def test_tsv(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbftext\tlabel\r\na, "b"\tx\r\n\r\nd\t\r\n"e ""f"""\t \r\ng\ty'
    expected = [
        Record(2, {"text": 'a, "b"', "label": "x"}),
        Record(4, {"text": "d", "label": None}),
        Record(5, {"text": 'e "f"', "label": None}),
        Record(6, {"text": "g", "label": "y"}),
    ]
    assert read(tmp_path / "a.tsv", content) == expected
    assert read(tmp_path / "a.tsv.gz", gzip.compress(content)) == expected
    assert read(tmp_path / "a.tsv", content.replace(b"\r\n", b"\r")) == expected


def test_a_quote_in_a_tsv_is_the_texts_own(tmp_path: Path) -> None:
    """One that opens a cell and is closed lines later, or never, or inside of the cell, swallows nothing."""
    lines = ['"Gripping from the start', "dull and slow", '"Fine" it is', 'not my thing"', '5" wide', '""', '"']
    lines.append('"a"b"')
    content = "text\tlabel\n" + "".join(f"{line}\tpos\n" for line in lines)
    found = read(tmp_path / "a.tsv", content.encode())
    texts = ["" if line == '""' else line for line in lines]
    assert found == [Record(n, {"text": text, "label": "pos"}) for n, text in enumerate(texts, 2)]


def test_a_tab_or_a_line_break_in_a_cell_of_a_tsv_is_a_fault(tmp_path: Path) -> None:
    content = b'text\tlabel\na\tx\n"b\tc"\tx\n"d\ne"\ty\n'
    first, tab, start, end = read(tmp_path / "a.tsv", content)
    assert first == Record(2, {"text": "a", "label": "x"})
    assert tab == BadRow(
        3,
        None,
        "3 cells, but the header has 2; no tab or line break in a cell, not even in quotes",
        '"b\tc"\tx\n',
    )
    assert start == BadRow(
        4, None, "1 cells, but the header has 2; no tab or line break in a cell, not even in quotes", '"d\n'
    )
    assert end == Record(5, {"text": 'e"', "label": "y"})


@pytest.mark.parametrize(
    "rows",
    [
        '"Gripping from the start,pos\ndull and slow,neg\nnot my thing",neg\n',
        '"Gripping from the start,pos\nnot my thing",neg\nlast,pos\n',
        '"Gripping from the start,pos\r\ndull and slow,neg\r\nnot my thing",neg\r\n',
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_rows_that_a_quote_swallows_are_noticed(tmp_path: Path, rows: str, turned: bool) -> None:
    content = "text,label\nfine,pos\n" + rows
    if turned:  # the label first
        content = 'label,text\npos,fine\npos,"Gripping\nneg,dull and slow\nneg,not my thing"\nneg,last\n'
    path = tmp_path / "a.csv"
    assert refusal(path, content.encode()).startswith(f"{path}, line 3: a quoted cell spans several lines")


@pytest.mark.parametrize(
    "text", ["Shopping:\nmilk,eggs\nbye", "One,two\nthree", "a,pos\n\nb", "a,pos\nb,neg,c\nd", "a,ok\nb"]
)
def test_a_text_of_several_lines_swallows_nothing(tmp_path: Path, text: str) -> None:
    content = f'text,label\nfine,pos\nbad,neg\n"{text}",neg\n'
    assert read(tmp_path / "a.csv", content.encode())[-1] == Record(4, {"text": text, "label": "neg"})


def test_csv_of_one_column_and_old_line_ends(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"text\ra; b\rc") == [
        Record(2, {"text": "a; b"}),
        Record(3, {"text": "c"}),
    ]


def test_an_empty_cell_is_no_label_but_still_a_text(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"text,label\n,\n") == [Record(2, {"text": "", "label": None})]


def test_long_cells_are_read_and_the_limit_of_the_process_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit(1000)
    try:
        [record] = read(tmp_path / "a.csv", b"text\n" + b"a" * 300_000 + b"\n")
        assert csv.field_size_limit() == 1000
    finally:
        csv.field_size_limit(before)
    assert record == Record(2, {"text": "a" * 300_000})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"b,x,y\n", "3 cells, but the header has 2; a cell with ',' in it needs quotes"),
        (b"b\n", "1 cells, but the header has 2; a cell with ',' in it needs quotes"),
        (
            b'"b"c,x\n',
            "not valid CSV: ',' expected after '\"'; a quote inside a quoted cell is written twice",
        ),
        (b'"b\ncaf\xe9",x\n', "not UTF-8: byte 7 is 0xe9; save the file as UTF-8"),
    ],
)
def test_one_bad_record_does_not_end_the_reading(tmp_path: Path, raw: bytes, reason: str) -> None:
    content = b'text,label\n"a\na",x\n' + raw + b"c,y\n"
    first, bad, last = read(tmp_path / "a.csv", content)
    assert first == Record(2, {"text": "a\na", "label": "x"})
    assert bad == BadRow(4, None, reason, raw.decode(errors="surrogateescape"))
    assert last == Record(4 + raw.count(b"\n"), {"text": "c", "label": "y"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'text,label\na,x\n"b,x\nc,y\n', ", line 3: a quote that opens in this record is never closed"),
        (b'text,"label\n', ", line 1: a quote that opens in this record is never closed"),
        (b"\n\ntext,caf\xe9\na,x\n", ", line 3, the header: not UTF-8: byte 9 is 0xe9"),
        (b'"text"x,label\n', ", line 1, the header: not valid CSV"),
        (
            b"text;label\na;x\n",
            ": the header is one cell, 'text;label', so the cells seem to be separated by ';'.",
        ),
        (
            b"text\tlabel\n",
            ": the header is one cell, 'text\\tlabel', so the cells seem to be separated by '\\t'.",
        ),
        (b"txt,label\na,x\n", " has no column 'text'; did you mean 'txt'?"),
        (b"text,lable\na,x\n", ": no row has the label field 'label'; did you mean 'lable'?"),
        (b"text,label,text\na,x,b\n", " has 2 columns named 'text'"),
    ],
)
def test_bad_csv_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    assert refusal(path, content).startswith(f"{path}{message}")


# Parquet


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_gives_the_wanted_columns(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "a.parquet",
        vector=[[1.0], [2.0]],
        label=pa.array([1, None]),
        text=pa.array(["a", "b"]).dictionary_encode(),
    )
    assert read(path) == [
        Record(1, {"text": "a", "label": 1}, "row"),
        Record(2, {"text": "b", "label": None}, "row"),
    ]
    assert read(path, fields=Fields("text")) == [
        Record(1, {"text": "a"}, "row"),
        Record(2, {"text": "b"}, "row"),
    ]


def test_parquet_row_numbers_run_over_batches_and_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(3000)]}), path, row_group_size=1700)
    assert read(path) == [Record(n + 1, {"text": str(n)}, "row") for n in range(3000)]


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    text = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\4\0\0\0\5\0\0\0"), pa.py_buffer(b"caf\xe9b"))
    bad, good = read(parquet(tmp_path / "a.parquet", text=text))
    assert bad == BadRow(1, "text", "not UTF-8: byte 4 is 0xe9", {"text": "caf\\xe9"}, "row")
    assert good == Record(2, {"text": "b"}, "row")


def test_parquet_class_labels_become_names(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    labelled().to_parquet(path)
    assert read(path) == NAMED


@pytest.mark.parametrize("class_id", [2, -2])
def test_a_class_id_that_has_no_name(tmp_path: Path, class_id: int) -> None:
    path = tmp_path / "a.parquet"
    stored = {"info": {"features": {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}}}
    table = pa.table({"text": ["a", "b"], "label": [1, class_id]})
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(stored)}), path)
    good, bad = read(path)
    assert good == Record(1, {"text": "a", "label": "good"}, "row")
    reason = f"class id {class_id} is not among the 2 classes of the data set"
    assert bad == BadRow(2, "label", reason, {"text": "b", "label": class_id}, "row")


def with_metadata(path: Path, metadata: bytes, labels: list[int]) -> Path:
    table = pa.table({"text": ["a", "b"], "label": labels})
    pq.write_table(table.replace_schema_metadata({"huggingface": metadata}), path)
    return path


@pytest.mark.parametrize(
    "metadata",
    [b"", b"not json", b"\xff\xfe", b"[]", b"null", b'"x"', b"7", b"[" * 100_000, b"1" * 5000, b'{"info": []}',
     b'{"info": null}', b'{"info": {"features": []}}', b'{"info": {"features": "label"}}',
     b'{"info": {"features": {"label": []}}}', b'{"info": {"features": {"label": {"_type": []}}}}'],
)  # fmt: skip
def test_parquet_metadata_that_say_nothing_are_passed_over(tmp_path: Path, metadata: bytes) -> None:
    path = with_metadata(tmp_path / "a.parquet", metadata, [1, 0])
    assert [record.row for record in read(path)] == [{"text": "a", "label": 1}, {"text": "b", "label": 0}]


@pytest.mark.parametrize("names", ["", ', "names": null', ', "names": {"0": "bad"}', ', "names": [1, 2]'])
def test_parquet_class_labels_without_names_are_refused(tmp_path: Path, names: str) -> None:
    metadata = '{"info": {"features": {"label": {"_type": "ClassLabel"' + names + "}}}}"
    path = with_metadata(tmp_path / "a.parquet", metadata.encode(), [1, 0])
    assert refusal(path).startswith(f"{path}: column 'label' holds class numbers, but their names are not")


@pytest.mark.parametrize("content", [b"", b"PAR1 and then something else"])
def test_a_file_that_is_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    assert refusal(path, content).startswith(f"{path} is not a valid Parquet file: ")


def test_parquet_with_bad_columns(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", txt=["a"])
    assert refusal(path) == f"{path} has no column 'text'; did you mean 'txt'?"
    path = parquet(tmp_path / "a.parquet", text=["a"], Label=["x"])
    assert "did you mean 'Label'?" in refusal(path)


# The hub


def labelled() -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    return datasets.Dataset.from_dict({"text": list("abcd"), "label": [1, 0, -1, None]}, features=features)


NAMED = [
    Record(number, {"text": text, "label": label}, "row")
    for number, (text, label) in enumerate([("a", "good"), ("b", "bad"), ("c", None), ("d", None)], 1)
]


def test_the_hub_is_asked_for_what_was_written() -> None:
    asked = []

    def load(*names: str | None, **options: str | None) -> datasets.Dataset:
        asked.append((names, options))
        return labelled()

    data = HubData("org/name", "config", "v1", "test")
    assert list(read_records(data, FIELDS, load)) == NAMED
    assert asked == [(("org/name", "config"), {"split": "test", "revision": "v1"})]


def test_plain_labels_of_the_hub_stay_as_they_are() -> None:
    table = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [-1, 7], "more": [[1], [2]]})
    records = list(read_records(HubData("name", None, None, "train"), FIELDS, lambda *_, **__: table))
    assert records == [
        Record(1, {"text": "a", "label": -1}, "row"),
        Record(2, {"text": "b", "label": 7}, "row"),
    ]


def test_a_hub_that_cannot_be_reached() -> None:
    def load(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'org/name' on the Hub")

    with pytest.raises(DataError) as caught:
        list(read_records(HubData("org/name", None, None, "train"), FIELDS, load))
    assert str(caught.value) == (
        "hub:org/name (train) could not be loaded. "
        "Check the name, the split and the network, or name a local file. "
        "(ConnectionError: Couldn't reach 'org/name' on the Hub)"
    )


def test_hub_data_without_the_text_column() -> None:
    with pytest.raises(DataError) as caught:
        list(read_records(HubData("org/name", None, None, "train"), Fields("sentence"), lambda *_, **__: labelled()))
    assert str(caught.value) == "hub:org/name (train) has no column 'sentence'; known here: label, text"


def test_hub_data_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the cache is read, and what is not is refused; both at once, without asking again and again."""
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / "train.jsonl").write_text('{"text": "a", "label": "x"}\n', encoding="utf-8")
    datasets.load_dataset(str(tmp_path / "name"))
    (tmp_path / "cache" / "name").rename(tmp_path / "cache" / "org___name")

    started = time.monotonic()
    assert [record.row for record in read_records(HubData("org/name", None, None, "train"), FIELDS)] == [
        {"text": "a", "label": "x"}
    ]
    with pytest.raises(DataError, match=r"no copy of it: 127\.0\.0\.1 cannot be reached \(ConnectError\)\. Check"):
        list(read_records(HubData("org/other", None, None, "train"), FIELDS))
    assert time.monotonic() - started < 5
    assert not constants.HF_HUB_OFFLINE
    assert not datasets.config.HF_HUB_OFFLINE
