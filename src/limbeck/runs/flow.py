"""A run from beginning to end, the same for every kind of task: the flow of `limbeck distill`.

    rows -> for each seed and each system (teacher, student before training, distilled student, baselines):
    its learning rate, its start, its stages, its answers to the held-out rows -> figures -> report, student folder

Every step saves its work in the run folder and reuses what it finds there, so a run that was killed at
any moment resumes with the same command.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from limbeck.ranks import is_main, require_data_parallel
from limbeck.results import Results
from limbeck.runs.config import run_config
from limbeck.runs.folder import hold, record_run
from limbeck.runs.outcome import write_outcome
from limbeck.runs.search import Tuning, train
from limbeck.runs.whole_run import WholeRun
from limbeck.tasks.run_config import RunSettings
from limbeck.tasks.table import task_of
from limbeck.types import Progress, SilentProgress

__all__ = ["distill", "run"]


def distill(*, progress: Progress | None = None, **sections: Any) -> Results:
    """Distil a teacher into a student; keyword arguments are the sections of a run file.

    Args:
        progress: shows the progress; silent by default.
        **sections: ``task``, ``data``, ``teacher``, ``student``, ``recipe``, ``training``, ``search``,
            ``seeds``, ``baselines``, ``output``, as mappings or as the section objects of
            `limbeck.tasks.classification.config`; those of a cross-lingual run are in `limbeck.tasks.ranking.config`.

    Returns:
        All figures of the run. Student and report are in the folder `output`.

    Raises:
        LimbeckError: something the caller can correct; the message says what.

    Example:
        >>> limbeck.distill(  # doctest: +SKIP
        ...     data={"train": "tickets.jsonl"},
        ...     teacher={"model": "org/encoder", "fine_tune": {"num_train_epochs": 3}},
        ...     student={"from_teacher": {"layers": "spread", "keep": 3}},
        ...     recipe={"name": "kd", "label_weight": 0},
        ...     output="runs/tickets",
        ... )
    """
    return run(run_config(sections), progress=progress or SilentProgress())


def run(config: RunSettings, *, progress: Progress, command: str = "") -> Results:
    """Run a checked configuration; see `distill`."""
    require_data_parallel()
    task, folder = task_of(config), Path(config.output)
    with hold(folder):
        config = task.settle(config, folder)
        rows = task.read(config, folder if is_main() else None)
        record_run(folder, config, rows.fingerprints, progress)
        run = task.open(config, rows, folder, progress)
        todo = [(seed, system) for seed in config.seeds for system in run.systems(seed)]
        tuning = Tuning(run, config, folder)
        run.progress = WholeRun(progress, [part for seed, system in todo for part in tuning.parts(system, seed)])
        for seed, system in todo:
            tuned = tuning.tuned(system)
            run.measure(tuned, seed, train(run, tuned, seed, run.costs))
        command = command or f"limbeck distill {folder / 'run.yaml'}"
        return write_outcome(run, folder, lambda: tuning.told(run.compare(command)), partial(task.card, config))
