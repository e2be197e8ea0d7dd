"""Records of cross-lingual runs of limbeck 0.1 (``limbeck-languages-1``)."""

from __future__ import annotations

from collections.abc import Iterable

from limbeck.results.figures import Metric
from limbeck.results.old.shared import CONTROLS, Json, bare, dumped, figure_of, mcnemar, named, shared_fields

__all__ = ["ranking"]

_RANKING = [
    Metric(key="accuracy", title="Accuracy", detail="records right", unit="share", higher_is_better=True),
    Metric(key="mrr", title="MRR", detail="mean reciprocal rank", unit="number", higher_is_better=True),
    Metric(key="ndcg", title="nDCG", detail="of web pages", unit="number", higher_is_better=True, table="tasks"),
    Metric(key="span_f1", title="span F1", detail="of given spans", unit="number", higher_is_better=True,
           table="tasks"),
]  # fmt: skip


def ranking(old: Json) -> Json:
    """Return a record in the current format; see `limbeck.results.upgrade`."""
    source, targets = old["source_language"], old["languages"]
    main = _main_of(old)
    names = list(dict.fromkeys(system["name"] for system in old["systems"]))
    titles = {system["name"]: system["title"] for system in old["systems"]}
    cells = [cell for system in old["systems"] for cell in system["cells"]]
    constant = {"name": "constant", "title": "Always the most frequent answer", "role": "constant",
                "detail": "for each task and language; chance if records have their own candidates"}  # fmt: skip
    systems = [
        {
            "name": named(name),
            "title": titles[name],
            "role": "teacher" if named(name) == "teacher" else "main" if name == main else "baseline",
            "recipe": name,
            "control": name in CONTROLS,
        }
        for name in names
    ]
    figures = [figure for system in old["systems"] for figure in _ranking_figures(system, targets)]
    if old.get("most_frequent") is not None:
        systems.append(constant)
        figures.append(figure_of({"name": "constant"}, "accuracy", bare(old["most_frequent"])))
    candidates: dict[str, dict[str, int]] = {}
    for cell in cells:
        candidates.setdefault(cell["lang"], {})[cell["task"]] = cell["candidates"]
    return {
        **shared_fields(
            old, "ranking", recipe=old.get("recipe", main or ""), seeds=old["seeds"], costs=old["stage_costs"]
        ),
        "metrics": dumped(_RANKING),
        "headline": "accuracy",
        "systems": systems,
        "figures": figures,
        "comparisons": [one for c in old["comparisons"] for one in _ranking_comparisons(c)],
        "sections": [
            {
                "kind": "languages",
                "source": source,
                "targets": targets,
                "names": old["language_names"],
                "resources": {cell["lang"]: cell["resource"] for cell in cells},
                "tasks": old["tasks"],
                "candidates": candidates,
            },
            {"kind": "forgetting", "checks": [_budgeted(check) for check in old["english"]]},
            {"kind": "gate", "kept": old["kept_by_gate"]},
            {"kind": "system_costs", "systems": [_system_cost(cost) for cost in old["costs"]]},
        ],
    }


def _main_of(old: Json) -> str | None:
    """Return the main system: the one that was compared with the others, or the one that is not the teacher."""
    trained = [system["name"] for system in old["systems"] if system["name"] != "english_model"]
    compared = [comparison["first"] for comparison in old["comparisons"]]
    return next(iter([*compared, *(name for name in trained if name == "ml_ipd"), *trained]), None)


def _ranking_figures(system: Json, targets: list[str]) -> list[Json]:
    cells, at_home = system["cells"], set(targets)
    figures = []
    for metric in ("accuracy", "mrr", "ndcg", "span_f1"):
        of_cells = [
            figure_of(system, metric, cell[metric], cell["records"] if metric in ("accuracy", "mrr") else None,
                    {s["seed"]: s[metric] for s in cell["seeds"]} if metric in ("accuracy", "mrr") else {},
                    slice={"task": cell["task"], "lang": cell["lang"]})
            for cell in cells
            if cell.get(metric)
        ]  # fmt: skip
        figures += of_cells
        in_targets = [f for f in of_cells if f["slice"]["lang"] in at_home]
        figures += [_mean(f, {"task": task}) for task, f in _grouped(in_targets, "task").items()]
        if metric in ("accuracy", "mrr"):
            of_languages = [_mean(f, {"lang": lang}) for lang, f in _grouped(of_cells, "lang").items()]
            figures += of_languages
            whole = _mean([f for f in of_languages if f["slice"]["lang"] in at_home], {}) if in_targets else {}
            macro = figure_of(system, metric, system[f"macro_{metric}"])
            figures.append({**macro, "seeds": whole.get("seeds", {}), "rows": whole.get("rows")})
    for resource in ("high", "low"):
        if system[f"{resource}_accuracy"] is not None:
            value = bare(system[f"{resource}_accuracy"])
            figures.append(figure_of(system, "accuracy", value, slice={"resource": resource}))
    return figures


def _grouped(figures: Iterable[Json], key: str) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for figure in figures:
        found.setdefault(figure["slice"][key], []).append(figure)
    return found


def _mean(figures: list[Json], slice: Json) -> Json:
    """Return the mean of figures, over seeds that all have; a single one keeps its interval."""
    if len(figures) == 1:
        return {**figures[0], "slice": slice}
    seeds = set.intersection(*(set(figure["seeds"]) for figure in figures))
    return {
        **figures[0],
        "slice": slice,
        "value": sum(figure["value"] for figure in figures) / len(figures),
        "low": None,
        "high": None,
        "seeds": {seed: sum(f["seeds"][seed] for f in figures) / len(figures) for seed in sorted(seeds)},
        "rows": sum(figure["rows"] or 0 for figure in figures) or None,
    }


def _ranking_comparisons(old: Json) -> list[Json]:
    shared = {
        "first": named(old["first"]),
        "second": named(old["second"]),
        "metric": old["metric"],
        "budget": old["n_target"],
    }

    def tested(slice: Json, found: Json, effect: Json) -> Json:
        tests = [{"name": "bootstrap", "p_value": effect["bootstrap_p_value"]}]
        if found["t_test"] is not None:
            details = {key: value for key, value in found["t_test"].items() if key != "p_value"}
            tests.append({"name": "t", "p_value": found["t_test"]["p_value"], "details": details})
        if found["holm_p_value"] is not None:
            tests.append({"name": "holm", "p_value": found["holm_p_value"]})
        tests += [mcnemar(test) for test in found.get("mcnemar", [])]
        return {**shared, "slice": slice, **effect["difference"], "tests": tests}

    return [
        tested({}, old, old["macro"]),
        *(
            {**shared, "slice": {"resource": resource}, "value": old[f"{resource}_difference"]}
            for resource in ("high", "low")
            if old[f"{resource}_difference"] is not None
        ),
        *(tested({"lang": found["lang"]}, found, found["effect"]) for found in old["languages"]),
    ]


def _system_cost(old: Json) -> Json:
    kept = {key: value for key, value in old.items() if key not in ("name", "n_target", "english_model_hours")}
    return {
        **kept,
        "system": named(old["name"]),
        "budget": old["n_target"],
        "teacher_hours": old["english_model_hours"],
    }


def _budgeted(old: Json) -> Json:
    kept = {key: value for key, value in old.items() if key not in ("system", "n_target")}
    return {**kept, "system": named(old["system"]), "budget": old["n_target"]}
