"""Some held-out rows with the systems' answers."""

from __future__ import annotations

from limbeck.formatting import count_text, share_text
from limbeck.report.block import Answer, Block, Quote
from limbeck.report.palette import looks
from limbeck.results.record import Results
from limbeck.results.sections import Sample, Samples

__all__ = ["render"]


def render(section: Samples, results: Results) -> Block:
    """Show each row with its reference and all answers."""
    lead = (
        f"{count_text(len(section.samples))} held-out rows, chosen by a hash of their texts, not by hand, with the "
        "answers of each system's first seed."
    )
    return Block("Samples", lead, quotes=[_quote(results, sample) for sample in section.samples])


def _quote(results: Results, sample: Sample) -> Quote:
    known = looks(results)
    answers = [
        Answer(
            results.title(answer.system),
            answer.text,
            f"ROUGE-L {share_text(answer.rouge_l)}" + (" · cut off" if answer.cut_off else ""),
            known.get(answer.system),
        )
        for answer in sample.answers
    ]
    reference = Answer("Reference", sample.reference)
    return Quote(f"Held-out row {sample.row}", sample.prompt, [reference, *answers])
