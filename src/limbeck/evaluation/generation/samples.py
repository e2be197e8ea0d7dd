"""The choice of held-out rows that the report shows with all answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from limbeck.evaluation.generation.outputs import HeldOutTexts, SystemOutputs
from limbeck.evaluation.generation.rouge import rouge_l
from limbeck.results.sections import Sample, SampleAnswer

__all__ = ["choose_samples"]

_SHOWN = 12


def choose_samples(
    systems: Mapping[str, SystemOutputs], held_out: HeldOutTexts, *, count: int = _SHOWN
) -> list[Sample]:
    """Return `count` rows with the answers of each system.

    These are the rows with the smallest SHA-256 of prompt and reference: not cherry-picked, the same in every run on
    these rows in any order, and independent of the answers.
    """
    texts = list(zip(held_out.prompts, held_out.references, strict=True))
    writing = [(name, outputs, outputs.texts) for name, outputs in systems.items() if outputs.texts is not None]
    if not writing:
        return []
    answered = [row for row in range(len(texts)) if all(answers[row] is not None for _, _, answers in writing)]
    order = sorted(answered, key=lambda row: (_digest(*texts[row]), row))
    return [
        Sample(
            row=row,
            prompt=texts[row][0],
            reference=texts[row][1],
            answers=[
                SampleAnswer(
                    system=name,
                    text=answers[row] or "",
                    cut_off=None if outputs.cut_off_N is None else bool(outputs.cut_off_N[row]),
                    rouge_l=rouge_l(answers[row] or "", texts[row][1]),
                )
                for name, outputs, answers in writing
            ],
        )
        for row in order[:count]
    ]


def _digest(prompt: str, reference: str) -> bytes:
    return hashlib.sha256(f"{len(prompt)}:{prompt}{reference}".encode("utf-8", "surrogatepass")).digest()
