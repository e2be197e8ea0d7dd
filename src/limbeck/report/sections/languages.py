"""A cross-lingual run: macro averages, the kept share of each language, languages left behind, single languages."""

from __future__ import annotations

from functools import partial

from limbeck.formatting import ABSENT, count_text, hours_text, share_text
from limbeck.report.block import Block, Cell, Column, KeyFigure, Row, Table, fold
from limbeck.report.languages import Entry, LanguageView
from limbeck.report.lookup import budget_text, headline_metric, main_figure
from limbeck.report.plots.heat_map import heat_maps
from limbeck.report.plots.languages import difference_plot, gap_plot
from limbeck.report.plotting import Plot
from limbeck.report.tables import budget_rows, comparison_table, system_cell, test_cells
from limbeck.report.values import (
    column_title,
    difference_cell,
    difference_range,
    difference_text,
    figure_cell,
    in_sentence,
    range_words,
    value_text,
)
from limbeck.results.figures import Comparison, Metric
from limbeck.results.record import Results, System
from limbeck.results.sections import Languages, SystemCosts
from limbeck.results.worth import beats_constant

__all__ = ["render"]

_LEFT_BEHIND = 0.9
"""The card names languages that keep less of the source language than this."""
_TESTS = {"bootstrap": "over rows", "t": "over seeds", "holm": "over languages"}


def render(section: Languages, results: Results) -> Block:
    """Show the languages of a run, the main system's largest budget first."""
    view = LanguageView(results, section)
    entries = [entry for budget in view.budgets() if (entry := view.main(budget))]
    parts = [_averages(view), _tasks(view), _single_tasks(view), _heat(view)]
    if entries:
        parts += [_left_behind(view, entries), _one_by_one(view, entries)]
    tasks = f"{len(section.tasks)} task{'s' if len(section.tasks) != 1 else ''}: {', '.join(section.tasks)}."
    targets = ", ".join(view.name(lang) for lang in section.targets)
    several = "s" if len(section.targets) != 1 else ""
    return Block(
        "Languages",
        f"Target languages have equal weight in a macro average, and so have the tasks of a language; "
        f"{view.source_name} is in none.",
        parts=[part for part in parts if part.tables or part.parts or part.title],
        facts=[f"{len(section.targets)} target language{several} from {view.source_name}: {targets}.", tasks],
        keys=_keys(view),
        words=_WORDS,
        limits=_limits(view),
    )


_WORDS = {
    "Macro average": "Target languages have equal weight, and so have the tasks of a language. Records are never "
    "pooled over languages.",
    "Kept in a language": "A system's figure in a language over the teacher's on the language of the instructions, on "
    "the tasks that both have.",
    "High and low resource": "As in the run file, independently of the labels that a system was given.",
}


def _averages(view: LanguageView) -> Block:
    """Return the block of averages: high and low resource, the source language, and the kept share."""
    resources = [r for r in ("high", "low") if any(view.figure(e, resource=r) for e in view.entries)]
    metric, source = headline_metric(view.results), view.section.source

    def row(system: System, budget: int | None) -> Row:
        entry = Entry(system, budget)
        cells = [_plain(metric, view.value(entry, resource=resource)) for resource in resources]
        cells += [_plain(metric, view.value(entry, lang=source)), Cell(share_text(view.mean_kept(entry)))]
        return Row([system_cell(view.results, system.name), *cells], main=system.role == "main")

    columns = [
        Column("System", kind="words"),
        *(Column(resource.capitalize(), "resource") for resource in resources),
        Column(view.source_name, in_sentence(metric.title)),
        Column("Kept", f"of {view.source_name}"),
    ]
    entries = [(entry.system, entry.budget) for entry in view.entries]
    return _part("", [Table("Macro averages", columns, budget_rows(view.results, entries, row))] if entries else [])


def _tasks(view: LanguageView) -> Block:
    """Return each task's mean over target languages; empty with one task."""
    tasks = view.section.tasks if len(view.section.tasks) > 1 else []
    metrics = [
        m for m in _averaged(view) for t in tasks[:1] if any(view.figure(e, m.key, task=t) for e in view.entries)
    ]
    pairs = [(task, metric) for task in tasks for metric in metrics]

    def row(system: System, budget: int | None) -> Row:
        found = [view.figure(Entry(system, budget), metric.key, task=task) for task, metric in pairs]
        cells = [_plain(m, f.value if f else None) for (_, m), f in zip(pairs, found, strict=True)]
        return Row([system_cell(view.results, system.name), *cells], main=system.role == "main")

    columns = [Column("System", kind="words"), *(Column(task, metric.title) for task, metric in pairs)]
    entries = [(entry.system, entry.budget) for entry in view.entries]
    tables = [Table("Task by task", columns, budget_rows(view.results, entries, row))] if pairs else []
    return _part("Task by task", tables)


def _single_tasks(view: LanguageView) -> Block:
    """Return figures that only single tasks have, language by language."""
    rows = [
        Row(
            [
                Cell(f"{task}, {metric.title}"),
                system_cell(view.results, entry.system.name),
                Cell(_labels(entry)),
                _plain(metric, mean.value if (mean := view.figure(entry, metric.key, task=task)) else None),
                *(
                    figure_cell(metric, view.figure(entry, metric.key, task=task, lang=lang))
                    for lang in view.languages
                ),
            ]
        )
        for task in view.section.tasks
        for metric in view.results.metrics
        if metric not in _averaged(view)
        for entry in view.entries
        if any(view.figure(entry, metric.key, task=task, lang=lang) for lang in view.languages)
    ]
    columns = [
        Column("Task", kind="words"),
        Column("System", kind="words"),
        Column("Labels"),
        Column("Mean", "of target languages"),
        *(Column(view.name(lang)) for lang in view.languages),
    ]
    lead = f"With 95 % intervals; {view.source_name} is not in the means. They are in no other table."
    return _part("Figures of single tasks", [Table("Figures of single tasks", columns, rows)] if rows else [], lead)


def _heat(view: LanguageView) -> Block:
    if all(view.kept(entry, lang) is None for entry in view.entries for lang in view.languages):
        return Block()
    title = headline_metric(view.results).title
    lead = f"{title} as a share of what the teacher reaches on {view.source_name}, over the tasks that both have."
    return Block("Kept in each language", lead, plots=partial(heat_maps, view))


def _left_behind(view: LanguageView, entries: list[Entry]) -> Block:
    lead = (
        f"By the share of {view.source_name} that {entries[0].system.title} keeps, least first. Distillation is "
        "judged against the same training without it: it helped or hurt if the interval excludes zero."
    )
    parts = [
        Block(
            _with_labels(entry),
            tables=[_left_behind_table(view, entry, brief=entry == entries[0] and view.teacher is not None)],
            plots=partial(_gap_plots, view, entry),
        )
        for entry in entries
    ]
    return Block("Which languages are left behind", lead, parts=fold(parts))


def _gap_plots(view: LanguageView, entry: Entry) -> list[Plot]:
    others = dict.fromkeys(system.name for system in (view.baseline(), view.control(entry)) if system)
    systems = [system for name in others if (system := view.results.system(name))]
    plots = [gap_plot(view, entry), *(difference_plot(view, entry, other) for other in systems)]
    return [plot for plot in plots if plot]


def _left_behind_table(view: LanguageView, entry: Entry, *, brief: bool) -> Table:
    metrics = _averaged(view)
    columns = [
        Column("Language", kind="words"),
        Column("Resource", kind="words"),
        Column("Kept", f"of {view.source_name}"),
        *(Column(column_title(metric), _interval_or_mean(view)) for metric in metrics),
        Column(f"To {view.source_name}"),
        Column("Best other system", kind="words"),
        Column("Its figure", "and its lead"),
        Column("Distillation", kind="words"),
        Column("Its effect", "95 % interval"),
        Column("Bootstrap", "over rows"),
    ]
    rows = [_left_behind_row(view, entry, lang, metrics) for lang in view.worst_first(entry)]
    source = view.section.source
    if view.figure(entry, lang=source):
        figures = [figure_cell(metric, view.figure(entry, metric.key, lang=source)) for metric in metrics]
        empty = [Cell("")] * (len(columns) - 3 - len(figures))
        kept = Cell(share_text(view.kept(entry, source)))
        rows.append(Row([Cell(view.source_name), Cell("source"), kept, *figures, *empty]))
    label = f"{entry.system.title} in each language{f', {_labels(entry)}' if entry.budget is not None else ''}"
    return Table(label, columns, rows, brief=brief).without_empty()


def _left_behind_row(view: LanguageView, entry: Entry, lang: str, metrics: list[Metric]) -> Row:
    metric, value = headline_metric(view.results), view.value(entry, lang=lang)
    beside, other = view.beside_source(entry, lang), view.best_other(entry, lang)
    theirs = view.value(other, lang=lang) if other else None
    more = theirs - value if theirs is not None and value is not None else None
    effect = view.compared(entry, view.control(entry), lang)
    return Row(
        [
            Cell(view.name(lang)),
            Cell(view.resource(lang)),
            Cell(share_text(view.kept(entry, lang))),
            *(figure_cell(m, view.figure(entry, m.key, lang=lang)) for m in metrics),
            Cell(difference_text(metric, beside[0] - beside[1] if beside else None)),
            system_cell(view.results, other.system.name) if other else Cell(ABSENT),
            Cell(value_text(metric, theirs), difference_text(metric, more)),
            _effect(effect),
            difference_cell(metric, effect),
            *test_cells(metric, effect, ["bootstrap"]),
        ]
    )


def _effect(comparison: Comparison | None) -> Cell:
    if comparison is None or comparison.interval is None:
        return Cell(ABSENT)
    if comparison.interval.high < 0:
        return Cell("hurt", emphasis="alarm")
    return Cell("helped" if comparison.interval.low > 0 else "no clear effect")


def _one_by_one(view: LanguageView, entries: list[Entry]) -> Block:
    baseline = view.baseline()
    lead = f"{entries[0].system.title}, one row for each language."
    if baseline:
        lead += f" The difference to {baseline.title} is paired: both answer the same records."
    budgets = [Block(_with_labels(entry), tables=[_languages_table(view, entry)]) for entry in entries]
    every = [
        _language(view, lang) for lang in view.languages[1:] if any(view.figure(e, lang=lang) for e in view.entries)
    ]
    own = _language(view, view.section.source)
    parts = [*fold(budgets), Block("Each language with all systems", parts=every)]
    if any(view.figure(entry, lang=view.section.source) for entry in view.entries):
        parts.append(Block("The language of the instructions", hint="not in any macro average", parts=[own]))
    return Block("Languages one by one", lead, parts=parts)


def _languages_table(view: LanguageView, entry: Entry) -> Table:
    columns = [
        Column("Language", kind="words"),
        Column("Resource", kind="words"),
        Column("Rows", " · ".join(view.section.tasks)),
        *_columns_of_systems(view),
    ]
    rows = [
        Row(
            [
                Cell(view.name(lang)),
                Cell(view.resource(lang)),
                Cell(_rows(view, entry, lang)),
                *_cells(view, entry, lang),
            ]
        )
        for lang in [*view.section.targets, view.section.source]
        if view.figure(entry, lang=lang)
    ]
    # Without a teacher nothing can be left behind: there are only figures.
    brief = view.teacher is None
    label = f"Languages{f', {_labels(entry)}' if entry.budget is not None else ''}"
    return Table(label, columns, rows, brief=brief).without_empty()


def _language(view: LanguageView, lang: str) -> Block:
    """Return all figures of one language, folded."""
    entries = [entry for entry in view.entries if view.figure(entry, lang=lang)]
    columns = [Column("System", kind="words"), Column("Labels"), *_columns_of_systems(view)]
    rows = [
        Row(
            [system_cell(view.results, e.system.name), Cell(_labels(e)), *_cells(view, e, lang)],
            main=e.system.role == "main",
        )
        for e in entries
    ]
    name = view.name(lang)
    tables = [Table(f"Systems in {name}", columns, rows).without_empty()]
    compared = [comparison for comparison in view.results.comparisons if comparison.slice == {"lang": lang}]
    if compared:
        tables.append(comparison_table(view.results, compared, f"Comparisons in {name}"))
    resource = view.resource(lang)
    facts = [f"{resource} resource" if resource in ("high", "low") else resource]
    facts += [
        f"{task}: {count_text(figure.rows)} records, {view.section.candidates.get(lang, {}).get(task, '?')} candidates"
        for task in view.section.tasks
        if entries and (figure := view.figure(entries[0], lang=lang, task=task))
    ]
    return Block(name, hint=" · ".join(fact for fact in facts if fact), tables=tables, folded=True)


def _columns_of_systems(view: LanguageView) -> list[Column]:
    baseline, metrics = view.baseline(), _averaged(view)
    tasks = view.section.tasks if len(view.section.tasks) > 1 else []
    titles = {"bootstrap": "Bootstrap", "t": "t-test", "holm": "Holm"}
    compared = [Column(f"To {baseline.title}", "95 % interval")] if baseline else []
    compared += [Column(titles[name], of) for name, of in _TESTS.items() if baseline]
    return [
        *(Column(column_title(metric), _interval_or_mean(view)) for metric in metrics),
        Column("Kept", f"of {view.source_name}"),
        *compared,
        *(Column(task, column_title(metric)) for task in tasks for metric in metrics),
    ]


def _cells(view: LanguageView, entry: Entry, lang: str) -> list[Cell]:
    metrics, baseline, tasks = _averaged(view), view.baseline(), view.section.tasks
    cells = [figure_cell(metric, view.figure(entry, metric.key, lang=lang)) for metric in metrics]
    cells.append(Cell(share_text(view.kept(entry, lang))))
    if baseline:
        cells += _against(view, entry, baseline, lang)
    for task in tasks if len(tasks) > 1 else []:
        cells += [figure_cell(m, view.figure(entry, m.key, lang=lang, task=task)) for m in metrics]
    return cells


def _against(view: LanguageView, entry: Entry, baseline: System, lang: str) -> list[Cell]:
    """Return the tested difference to the baseline, or the plain one for a system without a test."""
    metric, tested = headline_metric(view.results), view.compared(entry, baseline, lang)
    if tested or entry.system == baseline:
        tests = [Cell(cell.text) for cell in test_cells(metric, tested, _TESTS)]
        return [difference_cell(metric, tested), *tests]
    ours, theirs = view.value(entry, lang=lang), view.value(Entry(baseline, entry.budget), lang=lang)
    plain = ours - theirs if ours is not None and theirs is not None else None
    return [Cell(difference_text(metric, plain)), *test_cells(metric, None, _TESTS)]


def _rows(view: LanguageView, entry: Entry, lang: str) -> str:
    figures = [view.figure(entry, lang=lang, task=task) for task in view.section.tasks]
    return " · ".join(count_text(figure.rows) if figure else ABSENT for figure in figures)


def _averaged(view: LanguageView) -> list[Metric]:
    """Return the metrics that every task has: those of the headline table."""
    measured = {figure.metric for figure in view.results.figures}
    return [metric for metric in view.results.metrics if metric.table == "headline" and metric.key in measured]


def _interval_or_mean(view: LanguageView) -> str:
    return "mean of tasks" if len(view.section.tasks) > 1 else "95 % interval"


def _plain(metric: Metric, value: float | None) -> Cell:
    return Cell(value_text(metric, value))


def _labels(entry: Entry) -> str:
    return ABSENT if entry.budget is None else budget_text(entry.budget)


def _with_labels(entry: Entry) -> str:
    return "All rows" if entry.budget is None else f"With {budget_text(entry.budget)} for each task and language"


def _part(title: str, tables: list[Table], lead: str = "") -> Block:
    return Block(title, lead, tables=tables) if tables else Block()


# --- key figures and limits ---------------------------------------------------------------------------------------


def _keys(view: LanguageView) -> list[KeyFigure]:
    """Return the figures on top, for the main system at its largest budget."""
    main = view.main()
    if main is None:
        return []
    found = [_macro(view, main), _source(view), _best_other(view, main), _kept(view, main), _cost(view, main)]
    return [figure for figure in found if figure]


def _macro(view: LanguageView, main: Entry) -> KeyFigure | None:
    metric, figure = headline_metric(view.results), view.figure(main)
    if figure is None:
        return None
    number = len(view.section.targets)
    details = [f"{number} language{'s' if number != 1 else ''}"]
    details[0] += "" if main.budget is None else f", {_labels(main)} for each task and language"
    details += [f"95 % interval {range_words(metric, figure.interval)}"] if figure.interval else []
    title = f"macro {in_sentence(metric.title)} of {main.system.title}"
    return KeyFigure(value_text(metric, figure.value), title, "; ".join(details))


def _source(view: LanguageView) -> KeyFigure | None:
    teacher, value = view.teacher, view.source_value()
    if teacher is None or value is None:
        return None
    title = f"{teacher.system.title} on {view.source_name}"
    return KeyFigure(value_text(headline_metric(view.results), value), title, "the reference for all languages")


def _best_other(view: LanguageView, main: Entry) -> KeyFigure | None:
    metric, other = headline_metric(view.results), view.best_other(main)
    if other is None:
        return None
    ours, theirs = view.value(main), view.value(other)
    if ours is None or theirs is None:
        return None
    compared = view.compared(main, other.system)
    change = difference_text(metric, compared.value if compared else ours - theirs)
    detail = f"{other.system.title}; {main.system.title} has {change}"
    if compared and compared.interval:
        detail += f" (95 % interval {difference_range(metric, compared.interval)})"
    return KeyFigure(value_text(metric, theirs), f"macro {in_sentence(metric.title)} of the best other system", detail)


def _kept(view: LanguageView, main: Entry) -> KeyFigure | None:
    metric, constant, kept = headline_metric(view.results), view.results.role("constant"), view.mean_kept(main)
    if kept is None:
        return None
    figure = main_figure(view.results, constant, metric)
    if constant and figure and not beats_constant(view.results, main.budget):
        title = (
            f"macro {in_sentence(metric.title)} of {in_sentence(constant.title)}; {main.system.title} is not shown to "
            "be better"
        )
        return KeyFigure(value_text(metric, figure.value), title, f"it has {value_text(metric, view.value(main))}")
    least, lang = min((share, lang) for lang in view.section.targets if (share := view.kept(main, lang)) is not None)
    detail = f"least in {view.name(lang)}: {share_text(least)}"
    return KeyFigure(share_text(kept), f"of the {in_sentence(metric.title)} on {view.source_name} kept", detail)


def _cost(view: LanguageView, main: Entry) -> KeyFigure | None:
    costs = view.results.section(SystemCosts)
    found = {cost.system: cost for cost in (costs.systems if costs else []) if cost.budget == main.budget}
    own, baseline = found.get(main.system.name), view.baseline()
    if own is None:
        return None
    detail = f"including the teacher's {hours_text(own.teacher_hours)}"
    theirs = found.get(baseline.name) if baseline else None
    if baseline and theirs and theirs.saving is not None:
        less = "less" if theirs.saving >= 0 else "more"
        detail += f"; {share_text(abs(theirs.saving))} {less} than {baseline.title}"
    return KeyFigure(hours_text(own.device_hours), f"of device time for {main.system.title}", detail)


def _limits(view: LanguageView) -> list[str]:
    """Return what a user of the student should know about single languages."""
    main = view.main()
    if main is None:
        return []
    order = view.worst_first(main)
    return [*(_gap_limit(view, main, lang) for lang in order if (view.kept(main, lang) or 1) < _LEFT_BEHIND),
            *(limit for lang in order if (limit := _harm_limit(view, main, lang)))]  # fmt: skip


def _gap_limit(view: LanguageView, main: Entry, lang: str) -> str:
    metric, beside = headline_metric(view.results), view.beside_source(main, lang)
    gap = difference_text(metric, beside[0] - beside[1] if beside else None)
    of_what = f"of the teacher's {in_sentence(metric.title)} on {view.source_name}"
    return f"{view.name(lang)} is left behind: {share_text(view.kept(main, lang))} {of_what} ({gap})."


def _harm_limit(view: LanguageView, main: Entry, lang: str) -> str | None:
    metric, effect = headline_metric(view.results), view.compared(main, view.control(main), lang)
    if effect is None or effect.interval is None or effect.interval.high >= 0:
        return None
    interval = f"95 % interval {difference_range(metric, effect.interval)}"
    against = "against the same training without it"
    return f"In {view.name(lang)} distillation hurt: {difference_text(metric, effect.value)} {against} ({interval})."
