"""``limbeck alerts predict`` and ``evaluate``"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limbeck.data.records import BadRow, Record
    from limbeck.results.alerts import AlertSweep

__all__ = ["HELP", "app"]

HELP = "Raise alerts for articles that a classifier finds dangerous, and measure the false alarms."

_PREDICT = """Decide which articles raise an alert.

Each text is one article; the fields id, title, lang, crisis, date and reason are optional. Severity, band, abstention
and near-duplicates are decided over all articles together. The output has one JSON line per article.

FILE is JSON Lines, CSV or Parquet, or .txt with one text per line. Without FILE, or with -, standard input is read.

Example:

    limbeck alerts predict runs/risk/student news.jsonl --html alerts.html > alerts.jsonl
"""

_EVALUATE = """Measure the false alarms per 1,000 articles at a sensitivity of 80, 90 and 95 %.

The articles need labels; the label of the highest severity counts as risk.

Example:

    limbeck alerts evaluate runs/risk/student labelled-news.jsonl --html false-alarms.html
"""

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="markdown")

Model = Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")]
Rules = Annotated[Path | None, typer.Option(help="YAML file: severities of the labels, thresholds, field names.")]
Text = Annotated[str | None, typer.Option(help="Field with the text; default: as in the model's task file.")]
TextPair = Annotated[str | None, typer.Option(help="Field with the second text.")]
Label = Annotated[str | None, typer.Option(help="Field with the label.")]


@app.command("predict", help=_PREDICT)
def predict(
    model: Model,
    file: Annotated[str, typer.Argument(help="The articles.")] = "-",
    output: Annotated[Path | None, typer.Option(help="Write to this file, not to standard output.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write an HTML page.")] = None,
    rules: Rules = None,
) -> None:
    """Write one alert record per article as JSON Lines, and the page if requested; print the counts."""
    from limbeck.atomic import try_output, write_text
    from limbeck.cli.terminal import console, print_line, progress, quiet_libraries

    try_output(output, parents=True)
    try_output(html, parents=True)
    quiet_libraries()
    from limbeck.alerts.flow import load_alert_rules, make_alerts
    from limbeck.report.alert_page import write_alert_page

    name = "standard input" if file == "-" else Path(file).name
    run = make_alerts(model, partial(_records, file), load_alert_rules(rules), name=name, progress=progress())
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
        f"{len(run.alerts)} articles: {counts['raised']} raised, {counts['unconfirmed']} awaiting a second article, "
        f"{counts['needs_review']} needing review, {counts['duplicate']} duplicates, {counts['none']} not raised",
        console,
    )
    for note in run.notes:
        print_line(note, console, mark="! ")


@app.command("evaluate", help=_EVALUATE)
def evaluate(
    model: Model,
    data: Annotated[str, typer.Argument(help="Labelled articles: files, or a folder of them.")],
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML page with the plot.")] = None,
    rules: Rules = None,
) -> None:
    """Show the false alarms at three sensitivities; write all figures and the page if requested."""
    from limbeck.atomic import try_output, write_json
    from limbeck.cli.terminal import progress, quiet_libraries

    try_output(output)
    try_output(html, parents=True)
    quiet_libraries()
    from limbeck.alerts.flow import load_alert_rules, sweep_alerts
    from limbeck.data.records import named_fields
    from limbeck.report.sweep_page import write_sweep_page

    fields = named_fields(text, text_pair, label)
    sweep = sweep_alerts(model, data, load_alert_rules(rules), fields=fields, progress=progress())
    _show_sweep(sweep)
    if output is not None:
        write_json(output, sweep.model_dump())
    if html is not None:
        write_sweep_page(sweep, html)


def _show_sweep(sweep: AlertSweep) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from limbeck.cli.terminal import console, print_line
    from limbeck.report.sweep_page import sweep_rows

    _, *rows = sweep_rows(sweep)
    shown = Table(box=box.SIMPLE_HEAD, title="False alarms and alarms per 1,000 articles", title_justify="left")
    for title in ("Sensitivity", "Reached", "Threshold", "False alarms", "95 % interval", "Alarms"):
        shown.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    for note in sweep.notes:
        print_line(note, console, mark="! ")


def _records(file: str, text: str) -> Iterator[tuple[str, Record | BadRow]]:
    """Yield rows of a file, or lines of standard input or a text file: JSON objects, or texts as field `text`."""
    from limbeck.data.articles.read import file_records
    from limbeck.data.lines import is_by_line, read_lines

    if is_by_line(file):
        yield from ((name, record) for name, record, _ in read_lines(file, text))
    else:
        yield from file_records(file)
