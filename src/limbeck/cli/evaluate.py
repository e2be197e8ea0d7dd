"""``limbeck evaluate MODEL DATA``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Measure a model on held-out rows: accuracy, macro F1, calibration, size and speed.

Examples:

    limbeck evaluate runs/demo/student runs/demo/data/test.jsonl

    limbeck evaluate runs/demo/student runs/demo/data/test.jsonl --against org/large-model --output figures.json
"""


def main(
    model: Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")],
    data: Annotated[str, typer.Argument(help="Rows: JSON Lines, CSV, Parquet, a folder of them, or hub:org/name.")],
    against: Annotated[
        str | None, typer.Option(help="A second model, e.g. the teacher: fidelity and differences.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Field with the text; default: as the model's task file says.")
    ] = None,
    text_pair: Annotated[str | None, typer.Option(help="Field with the second text.")] = None,
    label: Annotated[str | None, typer.Option(help="Field with the label.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
) -> None:
    from limbeck.cli.terminal import console, progress, quiet_libraries

    quiet_libraries()
    from limbeck.atomic import write_json
    from limbeck.cli.show import show_comparisons, show_systems
    from limbeck.data.load import Fields
    from limbeck.errors import ConfigError
    from limbeck.runs.evaluate import evaluate

    if text is None and (text_pair or label):
        raise ConfigError("--text-pair and --label go with --text: name all fields of the rows")
    fields = Fields(text=text, text_pair=text_pair, label=label) if text else None
    systems, comparisons = evaluate(model, data, against=against, fields=fields, progress=progress())
    titles = {"distilled": model, "teacher": against or ""}
    show_systems(systems, titles, console)
    show_comparisons(comparisons, titles, console)
    if output is not None:
        write_json(
            output,
            {"systems": [s.model_dump() for s in systems], "comparisons": [c.model_dump() for c in comparisons]},
        )
