from __future__ import annotations

import doctest

from limbeck.tasks.classification.ensemble import members
from limbeck.tasks.classification.ensemble.config import Member
from limbeck.tasks.classification.ensemble.members import member_names, member_title


def test_examples() -> None:
    assert doctest.testmod(members).failed == 0


def test_names_are_those_of_files() -> None:
    made = [Member(model="/models/a b:c", training={}), Member(labels_from="gpt/4 o"), Member(tfidf=True)]  # type: ignore[arg-type]
    api = {"base_url": "http://127.0.0.1:9/v1", "model": "org/big:1"}
    made += [Member(api=api, prompt={}), Member(model="/models/causal", prompt={})]  # type: ignore[arg-type]
    assert member_names(made) == ["01-a-b-c", "02-gpt-4-o", "03-tfidf", "04-big-1", "05-causal"]
    assert [member_title(member) for member in made] == [
        "a b:c (fine_tune)",
        "labels in the field 'gpt/4 o'",
        "TF-IDF",
        "org/big:1 via an API",
        "the causal model causal",
    ]
