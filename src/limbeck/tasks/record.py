"""The record of a run: general facts, training curves and costs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from limbeck.evaluation.measured import Measured
from limbeck.evaluation.verdicts.verdict import verdict
from limbeck.results.record import Curve, Results, Run, StageCost, System
from limbeck.results.sections import Section
from limbeck.tasks.baselines import MAIN
from limbeck.tasks.checked_yaml import parse_yaml
from limbeck.tasks.task import System as PlannedSystem

__all__ = [
    "RUN_FILE",
    "Facts",
    "assemble",
    "described",
    "environment",
    "last_stage",
    "main_last",
    "read_curves",
    "recorded_value",
]

RUN_FILE = "run.yaml"
"""Every value of a run, in its folder."""


def recorded_value(folder: Path, *keys: str | int) -> Any:
    """Return a value of the run that is recorded in `folder`; ``None`` if there is none. Faults are reported later."""
    try:
        found, _ = parse_yaml((folder / RUN_FILE).read_text(encoding="utf-8"))
        for key in keys:
            found = found[key]
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError):
        return None
    return found


def described(system: PlannedSystem, detail: str = "", layers: int | None = None) -> System:
    """Return a system of a run in the form of the record."""
    return System(
        name=system.name,
        title=system.title,
        role=system.role,
        detail=detail,
        recipe=system.recipe,
        control=system.control,
        layers=layers,
        copied=system.copied,
    )


def main_last(systems: Sequence[PlannedSystem]) -> list[PlannedSystem]:
    """Return the systems in the order of the record: the main one after its baselines, then the simple ones."""
    return sorted(systems, key=lambda system: {"main": 1, "simple": 2}.get(system.role, 0))


def recorded(costs: Sequence[StageCost]) -> list[StageCost]:
    """Return costs under the record's names for systems."""
    return [cost.model_copy(update={"system": _recorded_name(cost.system)}) for cost in costs]


def _recorded_name(name: str) -> str:
    return "teacher" if name == "source_model" else name


def last_stage(run: Path, costs: Mapping[str, StageCost], seed: int, system: str = MAIN) -> Path:
    """Return the weights of a seed's main student; `costs` are those of the run, by folder and in order."""
    folders = [folder for folder, cost in costs.items() if (cost.system, cost.seed) == (system, seed)]
    return run / "stages" / folders[-1] / "model"


@dataclass(frozen=True)
class Facts:
    """The facts about a run in its record, apart from measurements."""

    kind: str
    name: str
    recipe: str
    seeds: Sequence[int]
    rows: Mapping[str, int]
    """As in `Run`."""
    command: str = ""
    paper: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    """`facts` of `Run`."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)


def assemble(
    facts: Facts,
    measured: Measured,
    *,
    folder: Path | None = None,
    costs: Sequence[StageCost] = (),
    sections: Sequence[Section] = (),
    warnings: Sequence[str] = (),
) -> Results:
    """Return the record of a run, with its verdict; for a student that is only measured, without it.

    Args:
        facts: of the run.
        measured: figures, comparisons and sections of the systems.
        folder: the run folder, with the resolved run file and the log; ``None``: nothing was trained.
        costs: of all stages, with the folder's names for systems.
        sections: further ones.
        warnings: come before those of `measured`.
    """
    run = Run(
        name=facts.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        limbeck_version=version("limbeck"),
        command=facts.command,
        recipe=facts.recipe,
        paper=facts.paper,
        seeds=list(facts.seeds),
        rows=dict(facts.rows),
        facts=dict(facts.words),
        resolved="" if folder is None else (folder / RUN_FILE).read_text(encoding="utf-8"),
        environment=environment(),
        data_fingerprints=dict(facts.fingerprints),
    )
    results = Results(
        kind=facts.kind,
        run=run,
        verdict=[],
        warnings=[*warnings, *measured.warnings],
        metrics=measured.metrics,
        headline=measured.headline,
        systems=measured.systems,
        figures=measured.figures,
        comparisons=measured.comparisons,
        curves=[] if folder is None else read_curves(folder / "log.jsonl", costs),
        costs=recorded(costs),
        sections=[*measured.sections, *sections],
    )
    return results if folder is None else results.model_copy(update={"verdict": verdict(results)})


def read_curves(log: Path, stages: Sequence[StageCost]) -> list[Curve]:
    """Convert the lines of log.jsonl to one curve per stage of the run, seed and series.

    Lines of other stages remain if a run was stopped in a stage and resumed with another recipe.
    """
    from limbeck.stages.callbacks import read_log

    of_run = [(one.stage, one.system, one.seed) for one in stages]
    points: dict[tuple[str, str, int, str], list[tuple[int, float]]] = {}
    for line in read_log(log):
        if (line.get("stage"), line.get("system"), line.get("seed")) not in of_run:
            continue
        for series, value in line.items():
            shown = series in ("loss", "learning_rate") or series.startswith(("term/", "train/", "dev/"))
            if shown and isinstance(value, int | float):
                key = (line["stage"], line["system"], line["seed"], series)
                points.setdefault(key, []).append((line["step"], float(value)))
    return [
        Curve(stage=stage, system=_recorded_name(system), seed=seed, series=series,
              steps=[step for step, _ in values], values=[value for _, value in values])
        for (stage, system, seed, series), values in points.items()
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """Return versions and hardware that figures depend on."""
    import torch

    packages = ("limbeck", "torch", "transformers", "accelerate", "tokenizers", "numpy")
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    threads = torch.get_num_threads()
    cpu = f"CPU, {threads} thread{'' if threads == 1 else 's'}"
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else cpu
    return {**found, "python": platform.python_version(), "machine": f"{_processor()}, {platform.system()}",
            "device": device}  # fmt: skip


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
