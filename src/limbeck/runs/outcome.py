"""The end of a run of any kind: the student folder, results.json and the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from limbeck.atomic import replace_folder, write_text
from limbeck.ranks import is_main, wait_for_all
from limbeck.results.read import RESULTS_FILE, read_results
from limbeck.results.record import Results
from limbeck.tasks.kept import mark_student, student_is_whole, write_results
from limbeck.tasks.task import TaskRun

__all__ = ["write_outcome"]


def write_outcome(
    run: TaskRun, folder: Path, compare: Callable[[], Results], card: Callable[[Results, Path], str]
) -> Results:
    """Export the student, compare the systems, and write ``results.json`` and ``report.html``.

    Existing files of a finished run are left alone; a damaged student is exported again.

    Args:
        run: after all stages.
        folder: the run folder.
        compare: returns the results, after the export.
        card: returns the model card of the student in a folder.
    """
    from limbeck.report.page import write_report

    results_file = folder / RESULTS_FILE
    if is_main():
        finished = results_file.exists()
        if not (finished and student_is_whole(folder, run.progress)):
            with replace_folder(folder / "student") as part:
                run.export(part)
                results = read_results(results_file) if finished else compare()
                write_text(part / "README.md", card(results, part))
            mark_student(folder)
            if not finished:
                write_results(folder, results)
        run.progress.log("drawing the report")
        write_report(read_results(results_file), folder / "report.html")
    wait_for_all()
    return read_results(results_file)
