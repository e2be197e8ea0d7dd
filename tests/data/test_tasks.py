"""Labels: their order, their ids, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from limbeck.data.tasks import Classification, label_ids, labels_in
from limbeck.errors import DataError
from limbeck.types import UNLABELLED, Origin, Rows


def rows_of(*labels: str | None) -> Rows:
    return Rows(["a"] * len(labels), None, list(labels), [Origin("a.csv", i + 2) for i in range(len(labels))])


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["b", "a", None, "b"], ["a", "b"]),
        (["10", "9", "2"], ["2", "9", "10"]),
        (["1", "-1", "0"], ["-1", "0", "1"]),
        (["b", "10", "a", "2"], ["2", "10", "a", "b"]),
        (["B", "a"], ["B", "a"]),
        (["01", "1", "0"], ["0", "01", "1"]),
    ],
)
def test_numbers_come_in_numeric_and_words_in_alphabetical_order(labels: list[str | None], order: list[str]) -> None:
    assert labels_in(rows_of(*labels)) == order
    assert labels_in(rows_of(*reversed(labels))) == order


@pytest.mark.parametrize("labels", [["-", "a"], ["--1", "1"], ["²", "1"]])
def test_words_that_look_like_numbers_are_words(labels: list[str]) -> None:
    assert sorted(labels_in(rows_of(*labels))) == sorted(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None, None], "found no label in 2 training rows"),
        ([], "found no label in 0 training rows"),
        (["a", None, "a"], "found only one label, 'a', in 3 training rows"),
    ],
)
def test_fewer_than_two_labels_are_refused(labels: list[str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_in(rows_of(*labels))


def test_ids_are_places_in_the_given_order() -> None:
    ids = label_ids(rows_of("b", None, "a", "c"), ["c", "b", "a"])
    assert ids.tolist() == [1, UNLABELLED, 2, 0]
    assert ids.dtype == "int64"


def test_an_unknown_label_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match=r"a\.csv:4: label 'd' is not one of the task's 2 labels"):
        label_ids(rows_of("a", None, "d"), ["a", "b"])


def test_no_rows_have_no_ids() -> None:
    assert label_ids(rows_of(), ["a", "b"]).tolist() == []


@pytest.mark.parametrize("fields", [{"labels": ["a"]}, {"txt": "a"}, {"kind": "regression"}])
def test_a_task_refuses_what_it_does_not_know(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Classification.model_validate(fields)


def test_labels_of_very_many_digits_are_words() -> None:
    long = "9" * 5000
    assert labels_in(Rows(["a", "b", "c"], None, [long, "10", "9"], [])) == ["9", "10", long]
