"""``limbeck augment ROWS --model MODEL --output FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Write rows and copies of them in which a masked language model replaced words, as TinyBERT's authors do.

Each word that is one piece of the model's vocabulary is masked in turn, while the model can read the text beside it.
Its likeliest words are the candidates. Only English words of a to z are replaced, and no stop words. Copies lose their
label, for recipes that learn from the teacher alone; the rows themselves keep it.

An interrupted command continues when it is started again.

Examples:

    limbeck augment train.jsonl --model bert-base-uncased --output more.jsonl

    limbeck augment pairs.jsonl --text one --text-pair other --model bert-base-uncased --copies 10 --output more.jsonl
"""


def main(
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="A JSON Lines file.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="A masked language model: folder or hub name.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The JSON Lines file to write.")],
    text: Annotated[str, typer.Option(help="Field with the text.")] = "text",
    text_pair: Annotated[str | None, typer.Option(help="Field with the second text of a pair.")] = None,
    label: Annotated[str, typer.Option(help="Field with the label.")] = "label",
    keep_labels: Annotated[bool, typer.Option("--keep-labels", help="Copies keep the label of their row.")] = False,
    copies: Annotated[int, typer.Option(help="Copies of each text; equal ones are dropped.")] = 30,
    candidates: Annotated[int, typer.Option(help="Candidates for each word.")] = 15,
    probability: Annotated[float, typer.Option(help="Probability with which a word is replaced.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
) -> None:
    """Write the rows with their copies and print how many there are."""
    from limbeck.cli.terminal import console, print_line, progress, quiet_libraries
    from limbeck.data.records import Fields
    from limbeck.formatting import count_text

    quiet_libraries()
    from limbeck.augment.flow import Augmentation, augment

    settings = Augmentation(copies, candidates, probability, seed, keep_labels)
    done = augment(rows, model, output, Fields(text, text_pair, label), settings, progress())
    print_line(
        f"{count_text(done.rows)} rows and {count_text(done.copies)} copies, with candidates for "
        f"{count_text(done.words)} words: {output}",
        console,
    )
    if not done.copies:
        print_line("no word could be replaced: only English words in the model's vocabulary are", console, mark="! ")
