"""The demo's sentences: new ones, which the student that is shown has the labels for."""

from __future__ import annotations

import pytest

from limbeck.demo.setting import _SENTENCES, _quick, read_banking77, sentences_on


@pytest.mark.parametrize("quick", [False, True])
def test_three_new_sentences_are_about_intents_of_the_demo(quick: bool) -> None:
    train, test = read_banking77("train"), read_banking77("test")
    known = {row["text"] for row in train + test}
    if quick:
        train, test = _quick(train, test)
    intents = {row["label"] for row in train}
    chosen = sentences_on(intents)
    assert len(chosen) == 3
    assert {_SENTENCES[text] for text in chosen} <= intents
    assert not known & set(chosen)
