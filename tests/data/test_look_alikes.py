"""Labels that a reader takes for one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.load import Fields, load_rows
from limbeck.data.look_alikes import look_alike_warnings, look_alikes, plain_form, twin_of, visible
from limbeck.errors import DataError

ALIKE = [
    "Risk",
    "RISK",
    "risk\u200b",  # zero-width space
    "\ufeffrisk",
    "ri\u00adsk",  # soft hyphen
    "risk\ufe0f",  # variation selector
    "\uff52\uff49\uff53\uff4b",  # full width
    "\u202erisk\u202c",
    "r\u034fisk",
    "\U0001d42bisk",
]


@pytest.mark.parametrize("label", ALIKE)
def test_labels_that_look_like_risk(label: str) -> None:
    assert label != "risk"
    assert plain_form(label) == "risk"
    assert twin_of(label, ["safe", "risk"]) == "risk"
    assert visible(label) != visible("risk")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),
        ("na\u00efve", "NAI\u0308VE"),
        ("Stra\u00dfe", "STRASSE"),
        ("a b", "a\u00a0 b"),
        ("a b", "a\u3000b"),
        ("\ufb01re", "fire"),
        ("\uac00", "\u1100\u1161"),
        ("\u0130stanbul", "i\u0307stanbul"),
    ],
)
def test_other_pairs_that_look_alike(one: str, other: str) -> None:
    assert look_alikes([one, "else", other, one]) == [[one, other]]


@pytest.mark.parametrize(
    ("one", "other"), [("risk", "risks"), ("a-b", "a b"), ("\u0440isk", "risk"), ("e", "\u00e9"), ("1", "2")]
)
def test_pairs_that_differ(one: str, other: str) -> None:
    assert look_alikes([one, other]) == []
    assert twin_of(one, [other]) is None


def test_of_several_twins_none_is_meant() -> None:
    assert twin_of("RISK", ["risk", "Risk"]) is None


def test_a_warning_shows_what_cannot_be_seen() -> None:
    (warning,) = look_alike_warnings(["safe", "risk", "risk\u200b"])
    assert "'risk' and 'risk\\u200b'" in warning
    (warning,) = look_alike_warnings(["caf\u00e9", "cafe\u0301"])
    assert "'caf\u00e9' and 'cafe\\u0301'" in warning


@pytest.mark.parametrize("on_bad_row", ["stop", "quarantine"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".jsonl.gz"])
def test_rows_whose_label_looks_like_a_known_one_are_one_fault(on_bad_row: Any, suffix: str, tmp_path: Path) -> None:
    """They were an error for each row, or thrown out one by one."""
    names = ["risk", "Risk", "safe", "safe", "SAFE", "Risk", "other", "safe"]
    if suffix == ".csv":
        content = "text,label\n" + "".join(f"a{i},{name}\n" for i, name in enumerate(names))
    else:
        content = "".join(json.dumps({"text": f"a{i}", "label": name}) + "\n" for i, name in enumerate(names))
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(gzip.compress(content.encode()) if suffix.endswith("gz") else content.encode())
    kept = tmp_path / "quarantine.jsonl"
    with pytest.raises(DataError) as raised:
        load_rows(path, Fields("text", label="label"), labels=["risk", "safe"], on_bad_row=on_bad_row, quarantine=kept)
    said = str(raised.value)
    first = 3 if suffix == ".csv" else 2
    assert f"field 'label' has 'Risk' for 'risk': 2 rows, the first is {path}, line {first}" in said
    assert "'SAFE' for 'safe': 1 row, " in said
    assert "give task.labels as the rows have them" in said
    assert "other" not in said, "an unknown label is another fault"
    assert not kept.exists()


def test_a_teachers_labels_are_held_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "a", "said": "Risk "}) + "\n")
    with pytest.raises(DataError, match="field 'said' has 'Risk' for 'risk'"):
        load_rows(path, Fields("text", teacher_label="said"), labels=["risk", "safe"], on_bad_row="quarantine")
