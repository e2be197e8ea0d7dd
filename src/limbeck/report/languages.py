"""The share of the teacher's source-language accuracy that remains in each language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from limbeck.report.lookup import headline_metric, last_budget, of_budget
from limbeck.results.figures import Comparison, Figure
from limbeck.results.record import Results, System
from limbeck.results.sections import Languages

__all__ = ["Entry", "LanguageView"]


@dataclass(frozen=True)
class Entry:
    """A system at one budget of labels."""

    system: System
    budget: int | None


@dataclass(frozen=True)
class LanguageView:
    """Queries that tables and plots of languages make on a record.

    The tasks of a language have equal weight. The kept share of the source language is measured on the tasks that both
    have, as a language without the hard task would otherwise seem to keep more.
    """

    results: Results
    section: Languages

    @property
    def languages(self) -> list[str]:
        """The source language, then the target languages."""
        return [self.section.source, *self.section.targets]

    @property
    def source_name(self) -> str:
        """Name of the source language."""
        return self.name(self.section.source)

    def name(self, lang: str) -> str:
        """Return the name of a language, or its code if the record has none."""
        return self.section.names.get(lang) or lang

    def resource(self, lang: str) -> str:
        """Return ``source``, ``high`` or ``low``; empty if unknown."""
        return self.section.resources.get(lang, "")

    def budgets(self) -> list[int | None]:
        """Return the budgets of the main system, the largest first; a single ``None`` if it has none."""
        main = self.results.role("main")
        found = {f.budget for f in self.results.figures if main and f.system == main.name}
        return sorted(found, key=lambda budget: -1 if budget is None else budget, reverse=True)

    @cached_property
    def entries(self) -> list[Entry]:
        """All systems at all budgets, budget by budget."""
        metric = headline_metric(self.results)
        return [Entry(system, budget) for system, budget in self.results.table([metric]) if system.role != "constant"]

    def main(self, budget: int | None = None) -> Entry | None:
        """Return the main system; at its largest budget if none is given."""
        main = self.results.role("main")
        if main is None:
            return None
        entry = Entry(main, last_budget(self.results, main) if budget is None else budget)
        return entry if entry in self.entries else None

    @cached_property
    def teacher(self) -> Entry | None:
        """The teacher, if it was measured."""
        return next((entry for entry in self.entries if entry.system.role == "teacher"), None)

    def figure(self, entry: Entry, metric: str | None = None, **slice: str) -> Figure | None:
        """Return a figure of a slice, by default for the verdict's metric."""
        key = metric or self.results.headline
        return self.results.figure(entry.system.name, key, slice=slice, budget=entry.budget)

    def value(self, entry: Entry, **slice: str) -> float | None:
        """Return the value of `figure`."""
        found = self.figure(entry, **slice)
        return None if found is None else found.value

    def source_value(self) -> float | None:
        """Return the teacher's figure on the source language."""
        teacher = self.teacher
        return self.value(teacher, lang=self.section.source) if teacher else None

    def beside_source(self, entry: Entry, lang: str) -> tuple[float, float] | None:
        """Return a system's figure in a language, and the teacher's on the source, over the tasks that both have."""
        teacher = self.teacher
        pairs = [
            (own, its)
            for task in self.section.tasks
            if (own := self.value(entry, lang=lang, task=task)) is not None
            and teacher
            and (its := self.value(teacher, lang=self.section.source, task=task)) is not None
        ]
        own, its = (_mean([pair[side] for pair in pairs]) for side in (0, 1))
        return None if own is None or its is None else (own, its)

    def kept(self, entry: Entry, lang: str) -> float | None:
        """Return a system's figure in a language as a share of the teacher's on the source language."""
        pair = self.beside_source(entry, lang)
        return pair[0] / pair[1] if pair and pair[1] > 0 else None

    def mean_kept(self, entry: Entry) -> float | None:
        """Return the mean of `kept` over the target languages that have one."""
        return _mean([kept for lang in self.section.targets if (kept := self.kept(entry, lang)) is not None])

    def worst_first(self, entry: Entry) -> list[str]:
        """Return the target languages that keep the least first; those without a figure last."""
        present = [lang for lang in self.section.targets if self.figure(entry, lang=lang)]
        kept = {lang: self.kept(entry, lang) for lang in present}
        return sorted(present, key=lambda lang: (kept[lang] is None, kept[lang] or 0.0))

    def best_other(self, entry: Entry, lang: str | None = None) -> Entry | None:
        """Return the best of the other systems with the same budget; the teacher competes at every budget."""
        slice = {} if lang is None else {"lang": lang}
        others = [
            other
            for other in self.entries
            if other.system != entry.system and other.budget == of_budget(self.results, other.system, entry.budget)
        ]
        known = [(value, other) for other in others if (value := self.value(other, **slice)) is not None]
        return max(known, key=lambda pair: pair[0], default=(None, None))[1]

    def baseline(self) -> System | None:
        """Return the baseline whose difference the tables show: the first that is not a control."""
        return next((system for system in self.results.roles("baseline") if not system.control), None)

    def compared(self, entry: Entry, other: System | None, lang: str | None = None) -> Comparison | None:
        """Return how a system compares with another at the same budget, if that was measured."""
        if other is None:
            return None
        slice = {} if lang is None else {"lang": lang}
        return self.results.comparison(
            entry.system.name, other.name, self.results.headline, slice=slice, budget=entry.budget
        )

    def control(self, entry: Entry) -> System | None:
        """Return the control, which isolates the effect of distillation by leaving it out.

        Without target labels, and only then, this may be the teacher itself.
        """
        candidates = [system for system in self.results.systems if system.control]
        candidates += self.results.roles("teacher") if entry.budget == 0 else []
        return next((system for system in candidates if self.compared(entry, system)), None)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
