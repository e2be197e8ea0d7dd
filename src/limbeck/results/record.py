"""The result record of a run of any kind: the contract between evaluation and report (``results.json``)."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, PrivateAttr

from limbeck.results.figures import Comparison, Figure, Metric, Record, Slice
from limbeck.results.sections import Section, Speed, Speeds

__all__ = ["Curve", "Results", "Role", "Run", "StageCost", "System"]

Role = Literal["teacher", "student_init", "main", "baseline", "simple", "constant"]
"""``student_init`` is the student before training. ``simple`` is fitted in seconds, without a teacher or the student
(older records have none). ``constant`` is not a model: it always gives the same answer."""

AnySection = TypeVar("AnySection")


class System(Record):
    """Anything that answers the held-out rows."""

    name: str
    """Its name in figures, curves and costs: its role or its recipe's key."""
    title: str
    role: Role
    detail: str = ""
    """One line for people, e.g. "3 of 6 layers, 16.4 M parameters"."""
    recipe: str | None = None
    """Key of its recipe, if it was trained in this run."""
    control: bool = False
    """Whether it is the main system without its teacher: any gain over it is due to distillation."""
    layers: int | None = None
    """None if it is not a model, or if the number means nothing."""
    copied: bool = False
    """Whether it is made of layers of the trained teacher, and not trained since."""


class Curve(Record):
    """One training curve: a value per logged step."""

    stage: str
    system: str
    seed: int
    series: str
    """`loss`, `term/NAME`, `learning_rate`, on the training batches `train/accuracy`, `train/agreement`, on quiz rows
    `train/quiz_loss`, and on development rows `dev/METRIC`."""
    steps: list[int]
    values: list[float]


class StageCost(Record):
    """The cost of one stage."""

    stage: str
    system: str
    seed: int
    seconds: float
    steps: int
    rows_seen: int
    tokens_seen: int
    peak_memory_bytes: int
    cpu_seconds: float | None = None
    """CPU time of the process, on all cores: unlike `seconds`, hardly longer if other programs are busy. None in older
    records, and where it was not counted."""
    energy_kwh: float | None = None
    """None if the machine has no meter."""
    gradient_bytes: int | None = None
    """Size of the gradients of one step; None in older records."""
    optimiser_bytes: int | None = None
    """Size of the optimiser's state."""


class Run(Record):
    """What was run, and how to run it again."""

    name: str
    created: str
    """ISO 8601, UTC."""
    limbeck_version: str
    command: str
    """The exact command that reproduces this run."""
    recipe: str
    """Recipe of the main system."""
    paper: str = ""
    seeds: list[int]
    rows: dict[str, int]
    """Rows by use: ``train``, ``labelled``, ``test``, ``left_out`` (in quarantine), and others."""
    facts: dict[str, str] = Field(default_factory=dict)
    """What else a reader should know, by topic, such as ``{"Scorer": "cross-encoder"}``."""
    resolved: str
    """The resolved run file, YAML."""
    environment: dict[str, str]
    """Versions and hardware."""
    data_fingerprints: dict[str, str]


class Results(Record):
    """Everything a report shows."""

    format: Literal["limbeck-results-2"] = "limbeck-results-2"
    kind: str
    """Kind of task: ``classification``, ``ranking``, ``generation`` ..."""
    run: Run
    verdict: list[str]
    """Plain sentences: what was kept, lost and gained, and what is unknown."""
    warnings: list[str]
    metrics: list[Metric]
    """In the order of the headline table."""
    headline: str
    """Key of the metric that the verdict uses."""
    systems: list[System]
    figures: list[Figure]
    comparisons: list[Comparison]
    curves: list[Curve]
    costs: list[StageCost]
    sections: list[Section]

    _index: tuple[Any, dict[Any, Figure]] = PrivateAttr(default=(None, {}))

    def system(self, name: str) -> System | None:
        """Return the system of this name, if the run has it."""
        return next((system for system in self.systems if system.name == name), None)

    def title(self, name: str) -> str:
        """Return the title of a system; its name if the run lacks it."""
        found = self.system(name)
        return name if found is None else found.title

    def role(self, role: Role) -> System | None:
        """Return the first system in this role."""
        return next(iter(self.roles(role)), None)

    def roles(self, *roles: Role) -> list[System]:
        """Return the systems in these roles, in the order of the record."""
        return [system for system in self.systems if system.role in roles]

    def metric(self, key: str) -> Metric:
        """Return the declaration of a metric. Raises `KeyError`: every figure must have one."""
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise KeyError(f"no metric '{key}' in the record")

    def figure(
        self, system: str, metric: str, *, slice: Slice | None = None, budget: int | None = None
    ) -> Figure | None:
        """Return one figure, if it was measured.

        Args:
            system: its name.
            metric: its key.
            slice: exactly this one; ``None``: all rows.
            budget: exactly this one.
        """
        figures, index = self._index
        if figures is not self.figures:  # also in a copy with other figures
            index = {_key(f.system, f.metric, f.slice, f.budget): f for f in self.figures}
            self._index = (self.figures, index)
        return index.get(_key(system, metric, slice or {}, budget))

    def comparison(
        self, first: str, second: str, metric: str, *, slice: Slice | None = None, budget: int | None = None
    ) -> Comparison | None:
        """Return one comparison, if it was made."""
        wanted = (first, second, metric, slice or {}, budget)
        return next((c for c in self.comparisons if (c.first, c.second, c.metric, c.slice, c.budget) == wanted), None)

    def budgets(self) -> list[int]:
        """Return the label budgets of the figures, smallest first; empty without budgets."""
        return sorted({figure.budget for figure in self.figures if figure.budget is not None})

    def table(self, metrics: list[Metric], *, slice: Slice | None = None) -> list[tuple[System, int | None]]:
        """Return the systems, budget by budget, with a figure for one of these metrics: rows of a table."""
        return [
            (system, budget)
            for budget in (*self.budgets(), None)
            for system in self.systems
            if any(self.figure(system.name, metric.key, slice=slice, budget=budget) for metric in metrics)
        ]

    def section(self, kind: type[AnySection]) -> AnySection | None:
        """Return the section of this type, if the run has it."""
        return next((section for section in self.sections if isinstance(section, kind)), None)

    def speed(self, system: str) -> Speed | None:
        """Return size and speed of a system, if they were measured."""
        found = self.section(Speeds)
        return found.systems.get(system) if found else None


def _key(system: str, metric: str, slice: Slice, budget: int | None) -> Any:
    return system, metric, frozenset(slice.items()), budget
