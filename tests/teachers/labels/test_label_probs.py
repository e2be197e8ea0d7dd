"""Probabilities over labels: the figures of each route, what is flagged, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.stages.test_callbacks import DAMAGES

from limbeck.errors import DataError
from limbeck.teachers.labels.label_probs import (
    LabelProbs,
    from_columns,
    from_log_probs,
    from_samples,
    has_letter,
    joined,
    letters,
)

NAMES = ["risk", "caution", "safe"]
TOP: dict[str, float] = {"A": -0.3, "B": -1.6, "The": -5.0}


def test_missing_letters_get_the_smallest_returned_log_prob() -> None:
    scored = from_log_probs([[TOP]], 3)
    np.testing.assert_allclose(scored.probs_NC[0], [0.780258, 0.212645, 0.007097], atol=5e-7)
    assert scored.flags == (frozenset({"floored"}),)
    assert scored.how == "log_probs"
    assert scored.kept_N.all()
    assert scored.steps == ()


def test_spellings_of_a_letter_are_added_up() -> None:
    halves = {"A": -0.3 - math.log(2), " A": -0.3 - math.log(2), "B": -1.6, "C": -5.0}
    scored = from_log_probs([[halves]], 3)
    np.testing.assert_allclose(scored.probs_NC[0], [0.780258, 0.212645, 0.007097], atol=5e-7)
    assert scored.flags == (frozenset(),)


def test_cyclic_orders_cancel_a_position_bias() -> None:
    """A model that likes A whatever it stands for says nothing about the labels."""
    biased = from_log_probs([[TOP, TOP, TOP]], 3)
    np.testing.assert_allclose(biased.probs_NC[0], [1 / 3] * 3)
    assert "orders_disagree" in biased.flags[0]


def test_letters_are_read_back_to_the_labels_of_their_order() -> None:
    """In order r letter j stands for label (j + r) mod C: here the model always means label 2."""
    sure, other = math.log(0.8), math.log(0.1)

    def answer(letter: str) -> dict[str, float]:
        return {name: sure if name == letter else other for name in "ABC"}

    scored = from_log_probs([[answer("C"), answer("B"), answer("A")]], 3)
    np.testing.assert_allclose(scored.probs_NC[0], [0.1, 0.1, 0.8])
    assert scored.flags == (frozenset(),)


def test_rows_without_any_letter_are_not_kept() -> None:
    rows: list[list[Mapping[str, float] | None]] = [[TOP], [None], [{"Sorry": -0.1}], [{}]]
    scored = from_log_probs(rows, 3, most_unreadable=1.0)
    assert scored.kept_N.tolist() == [True, False, False, False]
    np.testing.assert_allclose(scored.probs_NC[1:], 1 / 3)
    assert all("unreadable" in flags for flags in scored.flags[1:])
    one_order = from_log_probs([[TOP, None, None]], 3, most_unreadable=1.0)
    assert one_order.kept_N.all()
    assert "orders_missing" in one_order.flags[0]


def test_samples_are_smoothed_by_one_half() -> None:
    scored = from_samples([["risk"] * 7 + ["caution"] * 2 + ["safe"]], NAMES)
    np.testing.assert_allclose(scored.probs_NC[0], [0.652174, 0.217391, 0.130435], atol=5e-7)
    assert scored.how == "samples"
    assert scored.flags == (frozenset(),)


def test_answers_without_a_label_are_not_counted() -> None:
    scored = from_samples([["risk", None, "risk"], [None, None]], NAMES, most_unreadable=1.0)
    np.testing.assert_allclose(scored.probs_NC[0], np.array([2.5, 0.5, 0.5]) / 3.5)
    assert scored.kept_N.tolist() == [True, False]
    assert scored.flags == (frozenset({"answers_missing"}), frozenset({"unreadable"}))


@pytest.mark.parametrize("lost", [2, 3])
def test_more_than_two_per_cent_of_unreadable_answers_stop_the_run(lost: int) -> None:
    answers = [["risk"]] * (100 - lost) + [[None]] * lost
    top: list[list[Mapping[str, float] | None]] = [[TOP]] * (100 - lost) + [[None]] * lost
    if lost == 2:
        assert from_samples(answers, NAMES).kept_N.sum() == from_log_probs(top, 3).kept_N.sum() == 98
        return
    with pytest.raises(DataError, match=r"3 of the teacher's 100 answers \(3.0 %\) have no label"):
        from_samples(answers, NAMES)
    with pytest.raises(DataError, match="at most 2 % may"):
        from_log_probs(top, 3)


def test_a_column_gives_the_label_its_confidence_and_shares_the_rest() -> None:
    scored = from_columns(["caution", "risk", None, "safe"], [0.8, None, 0.9, 0.1], NAMES)
    third = [1 / 3] * 3
    np.testing.assert_allclose(scored.probs_NC, [[0.1, 0.8, 0.1], [1, 0, 0], third, [0.45, 0.45, 0.1]])
    assert scored.kept_N.tolist() == [True, True, False, True]
    marks = [set(), {"no_confidence"}, {"no_label"}, {"below_chance"}]
    assert [set(flags) for flags in scored.flags] == marks
    assert scored.count() == {"below_chance": 1, "no_confidence": 1, "no_label": 1}
    assert from_columns(["risk"], None, NAMES).probs_NC.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize(
    ("label", "confidence", "words"),
    [
        ("Risk", 0.5, "row 0: the teacher's label 'Risk' is none of the task's; did you mean 'risk'"),
        ("risk", 1.5, "row 0: the teacher's confidence is 1.5; expected a number from 0 to 1"),
        ("risk", float("nan"), "confidence is nan"),
    ],
)
def test_columns_that_cannot_be_read(label: str, confidence: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_columns([label], [confidence], NAMES)


def test_entropy_is_that_of_the_calibrated_row_over_the_uniform_one() -> None:
    rows = np.array([[1 / 3] * 3, [0.98, 0.01, 0.01], [0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [1, 0, 0]])
    scored = LabelProbs(rows, rows, np.ones(5, dtype=np.bool_), (frozenset(),) * 5, "local")
    np.testing.assert_allclose(scored.entropy_N, [1, 0.101858, 0.729847, 0.817345, 0], atol=5e-7)


def test_rows_of_a_flag_can_be_left_out_and_rows_put_among_others() -> None:
    scored = from_log_probs([[TOP, TOP, TOP], [TOP]], 3)
    agreed = scored.without("orders_disagree")
    assert agreed.kept_N.tolist() == [False, True]
    np.testing.assert_allclose(agreed.probs_NC[0], 1 / 3)
    np.testing.assert_array_equal(agreed.probs_NC[1], scored.probs_NC[1])
    assert agreed.flags == scored.flags
    placed = agreed.among([2, 0], 3, "prompt_too_long")
    assert placed.kept_N.tolist() == [True, False, False]
    np.testing.assert_array_equal(placed.probs_NC, [agreed.probs_NC[1], [1 / 3] * 3, [1 / 3] * 3])
    assert placed.flags == (agreed.flags[1], frozenset({"prompt_too_long"}), agreed.flags[0])


def test_rows_can_be_taken_replaced_and_joined() -> None:
    scored, other = (from_samples([[said], ["safe"], ["risk"]], NAMES) for said in ("risk", "caution"))
    new = other.flagged([frozenset({"new"})] * 3)
    for rows in (np.array([True, False, True]), np.array([0, 2])):
        np.testing.assert_array_equal(new.take(rows).probs_NC, new.probs_NC[[0, 2]])
        assert new.take(rows).flags == (frozenset({"new"}),) * 2
    changed = scored.replaced(np.array([2, 0]), new.take(slice(2)))
    np.testing.assert_array_equal(changed.probs_NC, [other.probs_NC[1], scored.probs_NC[1], other.probs_NC[0]])
    np.testing.assert_array_equal(changed.raw_NC, changed.probs_NC)
    assert changed.flags == (frozenset({"new"}), frozenset(), frozenset({"new"}))
    np.testing.assert_array_equal(scored.probs_NC[0], scored.probs_NC[2], "the original stays")
    both = joined(changed, scored.without("unreadable"))
    assert len(both) == 6
    np.testing.assert_array_equal(both.take(slice(3, None)).probs_NC, scored.probs_NC)
    assert both.flags == (*changed.flags, *scored.flags)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    scored = from_samples([["risk", None], ["safe", "safe"]], NAMES, most_unreadable=1.0)
    scored.save(tmp_path / "labels")
    scored.save(tmp_path / "labels")  # replaces the older one
    loaded = LabelProbs.load(tmp_path / "labels")
    np.testing.assert_array_equal(loaded.probs_NC, scored.probs_NC)
    np.testing.assert_array_equal(loaded.raw_NC, scored.raw_NC)
    np.testing.assert_array_equal(loaded.kept_N, scored.kept_N)
    assert (loaded.flags, loaded.how, loaded.steps) == (scored.flags, scored.how, scored.steps)
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no label probabilities"):
        LabelProbs.load(tmp_path)
    from_samples([["risk"]], NAMES).save(tmp_path / "labels")
    (tmp_path / "labels" / "labels.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(DataError, match="format 2, but this version reads 1"):
        LabelProbs.load(tmp_path / "labels")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["labels.npz", "labels.json"])
def test_a_folder_with_damage_is_refused(name: str, damage: Callable[[Path], object], tmp_path: Path) -> None:
    from_samples([["risk"], ["safe"]], NAMES).save(tmp_path / "labels")
    damage(tmp_path / "labels" / name)
    with pytest.raises(DataError, match=rf"holds no label probabilities that can be read: {name}"):
        LabelProbs.load(tmp_path / "labels")


def test_a_folder_of_before_there_were_marks_is_believed(tmp_path: Path) -> None:
    found = from_samples([["risk"]], NAMES)
    found.save(tmp_path / "labels")
    words = json.loads((tmp_path / "labels" / "labels.json").read_text())
    old = {key: words[key] for key in ("format", "how", "steps", "flags")}
    (tmp_path / "labels" / "labels.json").write_text(json.dumps(old))
    np.testing.assert_array_equal(LabelProbs.load(tmp_path / "labels").probs_NC, found.probs_NC)


def test_rows_that_are_no_distributions_are_refused() -> None:
    good, bad = np.array([[0.5, 0.5]]), np.array([[0.5, 0.4]])
    kept, flags = np.ones(1, dtype=np.bool_), (frozenset[str](),)
    with pytest.raises(DataError, match=r"\(raw\): row 0 is \[0.5, 0.4\]"):
        LabelProbs(good, bad, kept, flags, "local")
    with pytest.raises(DataError, match="expected probs and raw"):
        LabelProbs(good, good, np.ones(2, dtype=np.bool_), flags, "local")


def test_there_are_26_letters() -> None:
    assert letters(3) == ["A", "B", "C"]
    assert letters(26)[-1] == "Z"
    with pytest.raises(DataError, match="up to 26 labels, but the task has 27"):
        letters(27)


@pytest.mark.parametrize(
    "spelt",
    ["\u0120A", "\u2581A", "\u010aA", " A", "A\n", "a", "\u0120a", "A.", "A)", "(A", "**A", "`A`", "\"A", "\uff21",
     "\u24b6", "\u200bA", "\U0001d400", "[A]", "\u300cA", "-A", "\u0120(A", "$A"],
)  # fmt: skip
def test_letters_are_read_whatever_stands_around_them(spelt: str) -> None:
    top = {spelt: -0.1, "B": -3.0, "C": -4.0}
    odds = np.exp([-0.1, -3.0, -4.0])
    scored = from_log_probs([[top]], 3)
    np.testing.assert_allclose(scored.probs_NC, [odds / odds.sum()])
    assert scored.flags == (frozenset(),)


@pytest.mark.parametrize(
    "other", ["\u0410", "\u0391", "AA", "A B", "A1", "\u00c4", "", "\u0120", "Answer", "<A"[:1], "1", "\u5b57"]
)
def test_what_is_no_letter_is_not_taken_for_one(other: str) -> None:
    """Cyrillic and Greek capitals may look like A; which letter they are depends on the alphabet."""
    assert not has_letter({other: -0.1, "A": -3.0}, 3)
    assert from_log_probs([[{other: -0.1, "A": -3.0}]], 3, most_unreadable=1.0).flags == (
        frozenset({"orders_missing", "unreadable"}),
    )


def test_a_letter_that_is_absent_gets_the_least_of_the_tokens_and_not_of_the_spellings() -> None:
    """The bound of a token that was not returned is the smallest entry, not the smallest sum of equal ones."""
    top = [("A", -0.1), ("B", -5.0), ("B", -4.5)]
    odds = np.array([math.exp(-0.1), math.exp(-5.0) + math.exp(-4.5), math.exp(-5.0)])
    np.testing.assert_allclose(from_log_probs([[top]], 3).probs_NC, [odds / odds.sum()])
