"""The report of a prompt search, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.formatting import share_text
from limbeck.prompt_search.halving import Choice, Measured, Rung

__all__ = ["as_markdown"]

_HEAD = (
    "| prompt | J | standard error | macro F1 | ECE | unreadable | tokens |",
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
)


def as_markdown(
    choice: Choice, rungs: Sequence[Rung], order_mean: float | None, order_sd: float | None, notes: Sequence[str]
) -> str:
    """Return the page: what was chosen and why, every rung, and the prompt itself.

    Args:
        choice: the outcome of the search.
        rungs: all measurements.
        order_mean: mean objective over the orders of the chosen prompt's demonstrations.
        order_sd: its standard deviation.
        notes: remarks for the reader.
    """
    chosen = choice.chosen.candidate
    lines = ["# Prompt search", "", f"Chosen: **{chosen.what}**, because: {choice.why}.", ""]
    lines += [f"Hash: `{chosen.prompt.hash}`", ""]
    if order_mean is not None and order_sd is not None:
        lines += [
            f"Over the orders of its demonstrations J has mean {order_mean:.3f}, standard deviation {order_sd:.3f}.",
            "",
        ]
    lines += [
        "J = macro F1 - 0.5 ECE - 0.1 (share of unreadable answers) - 0.05 (tokens / 1000). The best of many prompts "
        "looks better than it is: it was chosen on the rows that it is measured on. Held-out rows were not read.",
        "",
    ]
    lines += [*(f"- {note}" for note in notes), ""] if notes else []
    for number, rung in enumerate(rungs, start=1):
        lines += [f"## Rung {number}: {rung.rows} rows", "", *_HEAD, *(_row(one) for one in rung.measured), ""]
    return "\n".join([*lines, "## The prompt", "", *_shown(chosen.prompt), ""])


def _row(one: Measured) -> str:
    if one.score is None:
        return f"| {one.candidate.what} | too long for the teacher | | | | | |"
    s = one.score
    return (
        f"| {one.candidate.what} | {s.objective:.3f} | {s.standard_error:.3f} | {s.macro_f1:.3f} | "
        f"{s.calibration_error:.3f} | {share_text(s.unreadable)} | {s.prompt_tokens:.0f} |"
    )


def _shown(prompt: LabelPrompt) -> list[str]:
    """Return a prompt as an indented block, which Markdown shows as it is."""
    parts = [prompt.system or "", prompt.instruction]
    parts += [f"{one.slots} -> {one.label}" for one in prompt.demonstrations]
    parts += [prompt.input, prompt.answer]
    return ["    " + line for part in parts for line in part.splitlines()]
