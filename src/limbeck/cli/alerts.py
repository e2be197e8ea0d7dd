"""What ``--alerts`` does in `limbeck predict` and `limbeck evaluate`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limbeck.data.load import Fields
    from limbeck.data.records import Fault, Record

__all__ = ["calibrate_student", "evaluate_alerts", "predict_alerts"]


def predict_alerts(model: str, file: str, output: Path | None, html: Path | None, rules_file: Path | None) -> None:
    """Write an alert record for every article as JSON Lines, and the page if wanted; say the counts."""
    from limbeck.alerts.flow import load_alert_rules, make_alerts
    from limbeck.atomic import write_text
    from limbeck.cli.terminal import console, print_line, progress
    from limbeck.report.alert_page import write_alert_page

    rules = load_alert_rules(rules_file)
    name = "standard input" if file == "-" else Path(file).name
    run = make_alerts(model, partial(_records, file), rules, name=name, progress=progress())
    lines = "".join(alert.model_dump_json() + "\n" for alert in run.alerts)
    if output is None:
        sys.stdout.write(lines)
        sys.stdout.flush()
    else:
        write_text(output, lines)
    if html is not None:
        write_alert_page(run, html)
    counts = Counter(alert.status for alert in run.alerts)
    print_line(
        f"{len(run.alerts)} articles: {counts['raised']} raised, {counts['unconfirmed']} wait for a second article, "
        f"{counts['needs_review']} need review, {counts['duplicate']} duplicates, {counts['none']} not raised",
        console,
    )
    for note in run.notes:
        print_line(note, console, mark="! ")


def evaluate_alerts(
    model: str, data: str, *, fields: Fields | None, output: Path | None, html: Path | None, rules_file: Path | None
) -> None:
    """Show the false alarms at three sensitivities; write all figures and the page if wanted."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from limbeck.alerts.flow import load_alert_rules, sweep_alerts
    from limbeck.atomic import write_json
    from limbeck.cli.terminal import console, print_line, progress
    from limbeck.report.sweep_page import sweep_rows, write_sweep_page

    rules = load_alert_rules(rules_file)
    sweep = sweep_alerts(model, data, rules, fields=fields, progress=progress())
    _, *rows = sweep_rows(sweep)
    shown = Table(box=box.SIMPLE_HEAD, title="False alarms and alarms per 1,000 articles", title_justify="left")
    for title in ("Sensitivity", "Reached", "Threshold", "False alarms", "95 % interval", "Alarms"):
        shown.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    for note in sweep.notes:
        print_line(note, console, mark="! ")
    if output is not None:
        write_json(output, sweep.model_dump())
    if html is not None:
        write_sweep_page(sweep, html)


def calibrate_student(model: str, data: str, *, fields: Fields | None) -> None:
    """Fit the temperature of a student on labelled rows, write it into its folder, and say what it changed."""
    from limbeck.atomic import try_output
    from limbeck.cli.terminal import console, print_line, progress
    from limbeck.formatting import share_text
    from limbeck.runs.temperature import calibrate
    from limbeck.tasks.task_file import CALIBRATION_FILE

    if Path(model).is_dir():
        try_output(Path(model) / CALIBRATION_FILE)
    fitted = calibrate(model, data, fields=fields, progress=progress())
    print_line(
        f"temperature {fitted.temperature:.3f} from {fitted.rows} labelled rows; calibration error on them "
        f"{share_text(fitted.error_before)} before, {share_text(fitted.error_after)} after. "
        f"Written to {Path(model) / CALIBRATION_FILE}",
        console,
    )
    for note in fitted.notes:
        print_line(note, console, mark="! ")


def _records(file: str, text: str) -> Iterator[tuple[str, Record | Fault]]:
    """Rows of a file, or of the lines of standard input or a text file: JSON objects, or texts of the field `text`."""
    from limbeck.cli.lines import is_by_line, read_lines
    from limbeck.data.articles.read import file_records

    if is_by_line(file):
        yield from ((name, record) for name, record, _ in read_lines(file, text))
    else:
        yield from file_records(file)
