"""``limbeck augment ROWS --model MODEL --output FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from limbeck.data.records import Fields

__all__ = ["HELP", "main"]

HELP = """Write rows and copies of them with altered texts, as the authors of TinyBERT or DistilBiLSTM do.

tinybert: each word that is one piece of the model's vocabulary is masked in turn, while the model can read the text
beside it. Its likeliest words are the candidates. Only English words of a to z are replaced, and no stop words. An
interrupted command continues when it is started again.

distilbilstm: words are masked, or replaced by others of their part of speech, and some copies are cut to at most five
words in a row. Of the model only the mask token is used, so give the teacher. Words are replaced only if the rows have
their parts of speech (--tags).

Copies lose their label, for recipes that learn from the teacher alone; the rows themselves keep it.

Examples:

    limbeck augment train.jsonl --model bert-base-uncased --output more.jsonl

    limbeck augment pairs.jsonl --text one --text-pair other --model bert-base-uncased --copies 10 --output more.jsonl

    limbeck augment train.jsonl --method distilbilstm --tags pos --model bert-base-uncased --output more.jsonl
"""

_OF_TINYBERT = "For tinybert: "
_OF_DISTILBILSTM = "For distilbilstm: "


def main(
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="A JSON Lines file.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="A masked language model: folder or hub name.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The JSON Lines file to write.")],
    method: Annotated[
        Literal["tinybert", "distilbilstm"], typer.Option(help="Whose way of altering texts.")
    ] = "tinybert",
    text: Annotated[str, typer.Option(help="Field with the text.")] = "text",
    text_pair: Annotated[str | None, typer.Option(help="Field with the second text of a pair.")] = None,
    label: Annotated[str, typer.Option(help="Field with the label.")] = "label",
    keep_labels: Annotated[bool, typer.Option("--keep-labels", help="Copies keep the label of their row.")] = False,
    copies: Annotated[
        int | None,
        typer.Option(help="Copies tried, equal ones are dropped; default: 30 of each text, or 20 of each row (pairs: "
                          "10) for distilbilstm."),
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(help=f"{_OF_TINYBERT}candidates for each word; default: 15.")
    ] = None,
    probability: Annotated[
        float | None,
        typer.Option(help="Probability with which a word is replaced, 0.4; for distilbilstm with which it is masked, "
                          "and with which it is replaced, 0.1 each."),
    ] = None,
    cut_probability: Annotated[
        float | None,
        typer.Option(help=f"{_OF_DISTILBILSTM}probability with which a copy is cut; default: 0.25."),
    ] = None,
    tags: Annotated[
        str | None, typer.Option(help=f"{_OF_DISTILBILSTM}field with the part of speech of each word.")
    ] = None,
    tags_pair: Annotated[
        str | None, typer.Option(help=f"{_OF_DISTILBILSTM}the same for the second text of a pair.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
) -> None:  # fmt: skip
    """Write the rows with their copies and print how many there are."""
    from limbeck.cli.terminal import quiet_libraries
    from limbeck.data.records import Fields
    from limbeck.errors import ConfigError

    quiet_libraries()
    fields, given = Fields(text, text_pair, label), {"copies": copies, "probability": probability}
    of_tinybert = {"candidates": candidates}
    of_distilbilstm = {"cut_probability": cut_probability, "tags": tags, "tags_pair": tags_pair}
    for name, value in (of_distilbilstm if method == "tinybert" else of_tinybert).items():
        if value is not None:
            raise ConfigError(f"--{name.replace('_', '-')} does nothing with --method {method}: leave it out")
    if tags_pair is not None and text_pair is None:
        raise ConfigError("--tags-pair is for pairs: name the field of the second text (--text-pair), or leave it out")
    if method == "tinybert":
        settings = _given(given | of_tinybert) | {"seed": seed, "keep_labels": keep_labels}
        _replace_words(rows, model, output, fields, settings)
    else:
        settings = _given(given | {"cut_probability": cut_probability}) | {"seed": seed, "keep_labels": keep_labels}
        _add_noise(rows, model, output, fields, (tags, tags_pair), settings)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _replace_words(rows: str, model: str, output: Path, fields: Fields, settings: dict[str, Any]) -> None:
    from limbeck.augment.flow import Augmentation, augment
    from limbeck.cli.terminal import console, print_line, progress
    from limbeck.formatting import count_text

    done = augment(rows, model, output, fields, Augmentation(**settings), progress())
    print_line(
        f"{count_text(done.rows)} rows and {count_text(done.copies)} copies, with candidates for "
        f"{count_text(done.words)} words: {output}",
        console,
    )
    if not done.copies:
        print_line("no word could be replaced: only English words in the model's vocabulary are", console, mark="! ")


def _add_noise(
    rows: str,
    model: str,
    output: Path,
    fields: Fields,
    tags: tuple[str | None, str | None],
    settings: dict[str, Any],
) -> None:
    from limbeck.augment.noise import Noise
    from limbeck.augment.noise_flow import TagFields, add_noise
    from limbeck.cli.terminal import console, print_line
    from limbeck.formatting import count_text

    done = add_noise(rows, model, output, fields, TagFields(*tags), Noise(**settings))
    print_line(f"{count_text(done.rows)} rows and {count_text(done.copies)} copies: {output}", console)
    if tags == (None, None):
        print_line("no word was replaced by another: that needs their parts of speech (--tags)", console, mark="! ")
