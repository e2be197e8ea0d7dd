from __future__ import annotations

import doctest

from limbeck.tasks.classification.ensemble import members
from limbeck.tasks.classification.ensemble.config import Member
from limbeck.tasks.classification.ensemble.members import member_names, member_title


def test_examples() -> None:
    assert doctest.testmod(members).failed == 0


def test_names_are_those_of_files() -> None:
    made = [Member(model="/models/a b:c", training={}), Member(labels_from="gpt/4 o"), Member(tfidf=True)]  # type: ignore[arg-type]
    assert member_names(made) == ["01-a-b-c", "02-gpt-4-o", "03-tfidf"]
    assert [member_title(member) for member in made] == [
        "a b:c (fine_tune)",
        "labels in the field 'gpt/4 o'",
        "TF-IDF",
    ]
