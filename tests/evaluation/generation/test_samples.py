"""The choice of rows to show."""

from __future__ import annotations

import numpy as np

from limbeck.evaluation.generation.outputs import HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.samples import choose_samples

PROMPTS = [f"question {row}" for row in range(40)]


def outputs(name: str, prompts: list[str], *, writes: bool = True) -> SystemOutputs:
    tokens = np.ones(len(prompts), dtype=np.int64)
    if not writes:
        return SystemOutputs(tokens, tokens * 1.0)
    cut = np.array([prompt.endswith("7") for prompt in prompts])
    return SystemOutputs(tokens, tokens * 1.0, texts=[f"{name} to {p}" for p in prompts], cut_off_N=cut)


def chosen(prompts: list[str], **options: int) -> list[str]:
    systems = {name: outputs(name, prompts) for name in ("teacher", "distilled")}
    held_out = HeldOutTexts(prompts, ["the answer"] * len(prompts))
    return [sample.prompt for sample in choose_samples(systems, held_out, **options)]


def test_the_choice_depends_on_the_texts_alone() -> None:
    first = chosen(PROMPTS)
    assert len(set(first)) == 12
    assert chosen(PROMPTS[::-1]) == first
    assert first != PROMPTS[:12]
    assert chosen(PROMPTS, count=3) == first[:3]
    assert chosen([p for p in PROMPTS if p not in first[:2]], count=3) == first[2:5]


def test_every_writing_system_is_beside_the_reference() -> None:
    systems = {
        name: outputs(name, PROMPTS, writes=name != "fine_tune") for name in ("teacher", "fine_tune", "distilled")
    }
    for sample in choose_samples(systems, HeldOutTexts(PROMPTS, PROMPTS)):
        assert (sample.prompt, sample.reference) == (PROMPTS[sample.row], PROMPTS[sample.row])
        assert [a.text for a in sample.answers] == [f"{n} to {sample.prompt}" for n in ("teacher", "distilled")]
        # The answer adds two words to the two of the reference.
        assert sample.answers[0].rouge_l == 2 * 2 / (4 + 2)
        assert sample.answers[0].cut_off is sample.prompt.endswith("7")


def test_equal_rows_are_shown_in_their_order() -> None:
    systems = {"teacher": outputs("teacher", ["same"] * 3)}
    assert [s.row for s in choose_samples(systems, HeldOutTexts(["same"] * 3, ["a"] * 3))] == [0, 1, 2]


def test_without_answers_there_is_nothing_to_show() -> None:
    assert choose_samples({"teacher": outputs("teacher", PROMPTS, writes=False)}, HeldOutTexts([], [])) == []
