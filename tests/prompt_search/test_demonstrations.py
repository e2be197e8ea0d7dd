"""Sets of demonstrations: balanced, near, diverse, with another language, the same every time."""

from __future__ import annotations

from collections import Counter

from limbeck.prompt_search.demonstrations import demonstration_sets, in_order

LABELS = ["risk", "caution", "safe"]
POOL = [
    ("The river floods the town and people leave their homes.", "risk"),
    ("A storm is going to hit the coast in the next hours.", "risk"),
    ("Der Fluss tritt über die Ufer und überschwemmt die Stadt.", "risk"),
    ("Check the heating of your house before the winter comes.", "caution"),
    ("Keep some water and food at home, the authorities say.", "caution"),
    ("There is a festival in the old city on Sunday.", "safe"),
    ("The team won the game in the last minute of the match.", "safe"),
    ("A river walk along the water is a joy for all of us.", "safe"),
]
DEV = ["The river is rising, and the town may be flooded by its water.", "Floods of the river reach the town."]


def sets(
    per_class: list[int], pool: list[tuple[str, str]] = POOL, dev: list[str] = DEV
) -> dict[str, list[tuple[str, str]]]:
    made = demonstration_sets(
        [{"text": text} for text, _ in pool], [label for _, label in pool], dev, LABELS, per_class, body="text"
    )
    return {one.name: [(shown.slots["text"], shown.label) for shown in one.shown] for one in made}


def test_every_set_has_all_labels_equally_often_in_turns() -> None:
    made = sets([1, 2])
    assert len(made) >= 5, "two sets may come out the same; one of them is dropped then"
    for name, shown in made.items():
        number = int(name.split(", ")[1][0])
        assert Counter(label for _, label in shown) == dict.fromkeys(LABELS, number)
        assert [label for _, label in shown] == LABELS * number


def test_near_rows_are_like_the_development_rows_and_diverse_ones_are_not_like_each_other() -> None:
    english = [row for row in POOL if "Ufer" not in row[0]]
    made = sets([1], english)
    assert made["near, 1 a label"][0] == POOL[0]
    assert made["near, 1 a label"][2] == POOL[7], "the only harmless row with a river"
    twins = [("x y z", "risk"), ("x y z w", "risk"), ("quite other", "risk"), ("other", "caution"), ("words", "safe")]
    made = sets([2], twins, ["x y z"])
    of_risk = {name: [text for text, label in shown if label == "risk"] for name, shown in made.items()}
    assert ["x y z", "x y z w"] in of_risk.values(), "near"
    assert ["x y z", "quite other"] in of_risk.values(), "diverse"


def test_a_set_has_a_row_that_is_not_english_if_there_is_one() -> None:
    for shown in sets([1, 2]).values():
        assert any("Ufer" in text for text, _ in shown)


def test_the_same_sets_whatever_the_order_of_the_pool() -> None:
    assert sets([1, 2]) == sets([1, 2], POOL[::-1])
    assert sets([1], []) == {}


def test_a_label_that_the_pool_lacks_is_missing_from_the_sets() -> None:
    without = [row for row in POOL if row[1] != "safe"]
    assert {label for shown in sets([2], without).values() for _, label in shown} == {"risk", "caution"}


def test_orders_are_permutations_and_stay_the_same() -> None:
    (first, *_) = demonstration_sets(
        [{"text": text} for text, _ in POOL], [label for _, label in POOL], DEV, LABELS, [2], body="text"
    )
    assert in_order(first.shown, 0) == first.shown
    one, two = in_order(first.shown, 1), in_order(first.shown, 2)
    assert one != two
    assert one == in_order(first.shown, 1)
    assert sorted(map(repr, one)) == sorted(map(repr, first.shown))
