"""``limbeck filter FILTER.yaml``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from limbeck.filter.counts import FilterCounts

__all__ = ["HELP", "main"]

HELP = """Filter raw articles: a cheap score for all, then a teacher's yes or no for those that pass.

Scores are kept on disk, so an interrupted command resumes. Near-duplicates and articles that repeat the test set are
dropped. The output folder holds the kept articles, an audit sample for manual review, and counts by set and language.

Example:

    limbeck filter filter.yaml
"""


def main(
    filter_file: Annotated[Path, typer.Argument(metavar="FILTER.yaml", help="Sets, stages and output.")],
) -> None:
    """Run a filter file and print the counts."""
    from limbeck.cli.terminal import console, progress, quiet_libraries
    from limbeck.filter.config import load_filter_file

    config = load_filter_file(filter_file)
    quiet_libraries()
    from limbeck.filter.flow import run_filter

    counts = run_filter(config, progress())
    _show(counts, console)
    console.print(f"kept articles, audit and counts: {config.output}", markup=False, soft_wrap=True)


def _show(counts: FilterCounts, console: Console) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from limbeck.cli.terminal import print_line
    from limbeck.formatting import count_text, share_text

    shown = Table(box=box.SIMPLE_HEAD)
    for title in ("Set", "Read", "Stage A", "Stage B", "Share", "Duplicates", "In the test", "Kept"):
        shown.add_column(title, justify="left" if title == "Set" else "right")
    for row in [*counts.by_set, counts.total]:
        numbers = [row.read, row.screened, row.judged]
        rest = [row.duplicates, row.repeats_test, row.kept]
        shown.add_row(Text(row.name), *map(count_text, numbers), share_text(row.kept_share), *map(count_text, rest))
    console.print(shown)
    total = counts.total
    for number, words in (
        (total.unusable, "rows are not articles and were left out"),
        (total.unanswered, "articles have no readable answer from the teacher and were not kept"),
        (total.undated, "articles have no date and were left out of the split"),
    ):
        if number:
            print_line(f"{count_text(number)} {words}", console, mark="! ")
