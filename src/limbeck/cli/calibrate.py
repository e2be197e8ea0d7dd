"""``limbeck calibrate STUDENT [DATA]``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limbeck.data.records import Fields

__all__ = ["HELP", "main"]

HELP = """Fit a temperature for a classifier's confidence on labelled rows, and write it to the student's folder.

`limbeck predict`, `evaluate` and `alerts` then give calibrated probabilities. The rows should be neither training nor
test rows. A run with data.dev or a search has fitted one already.

--fold FOLDER writes a copy of the student whose own logits are calibrated, for programs that do not read the
temperature, such as transformers' pipeline. Without DATA, it folds the temperature that the student has.

Examples:

    limbeck calibrate runs/tickets/student dev.jsonl

    limbeck calibrate runs/tickets/student --fold tickets-calibrated
"""


def main(
    model: Annotated[str, typer.Argument(help="A student folder.")],
    data: Annotated[
        str | None, typer.Argument(help="Labelled rows: JSON Lines, CSV, Parquet, a folder, or hub:org/name.")
    ] = None,
    fold: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write a copy with the temperature in its weights.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Field with the text; default: as in the model's task file.")
    ] = None,
    text_pair: Annotated[str | None, typer.Option(help="Field with the second text.")] = None,
    label: Annotated[str | None, typer.Option(help="Field with the label.")] = None,
) -> None:
    """Fit the temperature and print what it changed, fold it, or both."""
    from limbeck.cli.terminal import console, print_line, quiet_libraries
    from limbeck.errors import ConfigError

    if data is None and fold is None:
        raise ConfigError("give labelled rows to fit a temperature on, or --fold FOLDER to fold the one that is there")
    quiet_libraries()
    from limbeck.data.records import named_fields
    from limbeck.tasks.classification.calibrate_saved import fold as fold_into

    if data is not None:
        _fit(model, data, named_fields(text, text_pair, label))
    if fold is not None:
        temperature = fold_into(model, fold)
        print_line(f"the temperature {temperature:.3f} is folded into the weights of {fold}", console)


def _fit(model: str, data: str, fields: Fields | None) -> None:
    from limbeck.atomic import try_output
    from limbeck.cli.terminal import console, print_line, progress
    from limbeck.formatting import figure_range, share_text
    from limbeck.tasks.classification.calibrate_saved import calibrate
    from limbeck.tasks.task_file import CALIBRATION_FILE

    if Path(model).is_dir():
        try_output(Path(model) / CALIBRATION_FILE)
    fitted = calibrate(model, data, fields=fields, progress=progress())
    before, after = (
        f"{share_text(error.value)} ({figure_range(error, 'share')})"
        for error in (fitted.error_before, fitted.error_after)
    )
    print_line(
        f"temperature {fitted.temperature:.3f} from {fitted.rows} labelled rows; calibration error on them "
        f"{before} before, {after} after (95 % intervals). Written to {Path(model) / CALIBRATION_FILE}",
        console,
    )
    for note in fitted.notes:
        print_line(note, console, mark="! ")
