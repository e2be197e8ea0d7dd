"""The end of a run of any kind: the student folder, results.json and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.atomic import replace_folder, write_text
from limbeck.ranks import is_main, wait_for_all
from limbeck.report.read import RESULTS_FILE, read_any_results
from limbeck.results import Curve, StageCost, SystemName
from limbeck.results.read import read_results
from limbeck.tasks.kept import mark_student, student_is_whole, write_results
from limbeck.tasks.task import TaskRun

__all__ = ["TITLES", "read_curves", "write_outcome"]

TITLES: dict[SystemName, str] = {
    "teacher": "Teacher",
    "student_before": "Student before training",
    "fine_tuned": "Fine-tuned student",
    "random_order": "Student in random order",
    "distilled": "Distilled student",
}


def write_outcome(run: TaskRun, folder: Path, command: str) -> Any:
    """Export the student, compare the systems, and write ``results.json`` and ``report.html``.

    What a finished run has is left as it is; a student that is damaged is exported again.
    """
    from limbeck.report.page import write_report

    results_file = folder / RESULTS_FILE
    if is_main():
        finished = results_file.exists()
        if not (finished and student_is_whole(folder, run.progress)):
            with replace_folder(folder / "student") as part:
                run.export(part)
                results = read_any_results(results_file) if finished else run.compare(command)
                write_text(part / "README.md", run.card(results, part))
            mark_student(folder)
            if not finished:
                write_results(folder, results)
        run.progress.say("drawing the report")
        write_report(read_results(results_file), folder / "report.html")
    wait_for_all()
    return read_any_results(results_file)


def read_curves(log: Path, stages: Sequence[StageCost]) -> list[Curve]:
    """Turn the lines of log.jsonl into one curve for each of the run's stages, its seed and series.

    Lines of other stages are there where a run went on with another recipe after it was stopped in a stage.
    """
    from limbeck.stages.callbacks import read_log

    of_run = [(one.stage, one.system, one.seed) for one in stages]
    points: dict[tuple[str, SystemName, int, str], list[tuple[int, float]]] = {}
    for line in read_log(log):
        if (line.get("stage"), line.get("system"), line.get("seed")) not in of_run:
            continue
        for series, value in line.items():
            shown = series in ("loss", "learning_rate") or series.startswith(("term/", "train/"))
            if shown and isinstance(value, int | float):
                key = (line["stage"], line["system"], line["seed"], series)
                points.setdefault(key, []).append((line["step"], float(value)))
    return [
        Curve(stage=stage, system=system, seed=seed, series=series,
              steps=[step for step, _ in values], values=[value for _, value in values])
        for (stage, system, seed, series), values in points.items()
    ]  # fmt: skip
