"""Older result records (limbeck 0.1, one format for each kind of run) as records of today.

They are read as plain JSON: their types are gone, and what they said is said here once more. Fields that came late may
be missing. What a system is called follows today's names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from limbeck.results.figures import Metric
from limbeck.results.record import Role

__all__ = ["OLD_FORMATS", "upgrade"]

Json = dict[str, Any]

_NAMES = {
    "student_before": "student_init",
    "fine_tuned": "fine_tune",
    "random_order": "anon",
    "most_frequent": "constant",
    "english_model": "teacher",
}
_ROLES: dict[str, Role] = {
    "teacher": "teacher",
    "student_init": "student_init",
    "distilled": "main",
    "fine_tune": "baseline",
    "anon": "baseline",
    "constant": "constant",
}
_CONTROLS = ("fine_tune", "transfer")
_FAULTS = (KeyError, TypeError, AttributeError, ValueError, IndexError)


def upgrade(record: Json) -> Json:
    """Return a record of any format as one of ``limbeck-results-2``, to be validated by `Results`.

    Raises:
        ValueError: an older record lacks what it needs; one of today's is returned as it is.
    """
    try:
        return OLD_FORMATS[record["format"]](record) if record["format"] in OLD_FORMATS else record
    except _FAULTS as error:
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"an older record that lacks a part, or has it in another shape ({words})") from error


# --- classification -----------------------------------------------------------------------------------------------

_LABELLING = [
    Metric(key="accuracy", title="Accuracy", detail="rows right", unit="share", higher_is_better=True),
    Metric(key="macro_f1", title="Macro F1", detail="over classes", unit="share", higher_is_better=True),
    Metric(key="agreement", title="Agreement", detail="with teacher", unit="share", higher_is_better=True),
    Metric(key="kl", title="KL", detail="to teacher", unit="nats", higher_is_better=False),
    Metric(key="ece", title="ECE", detail="calibration", unit="share", higher_is_better=False),
    Metric(key="loss", title="Loss", detail="on gold labels", unit="nats", higher_is_better=False, table="loss"),
    Metric(key="sensitivity", title="Sensitivity", detail="macro mean", unit="share", higher_is_better=True,
           table="one_vs_rest"),
    Metric(key="specificity", title="Specificity", detail="macro mean", unit="share", higher_is_better=True,
           table="one_vs_rest"),
    Metric(key="precision", title="Precision", unit="share", higher_is_better=True, table="classes"),
    Metric(key="f1", title="F1", unit="share", higher_is_better=True, table="classes"),
]  # fmt: skip
_OF_LABELS = ("accuracy", "macro_f1", "sensitivity", "specificity")
_OF_CLASSES = {"precision": "precision", "sensitivity": "recall", "specificity": "specificity", "f1": "f1"}


def _classification(old: Json) -> Json:
    systems = [*old["systems"], *([old["most_frequent"]] if old.get("most_frequent") else [])]
    seeds = {system["name"]: [seed["seed"] for seed in system["seeds"]] for system in systems}
    by_name = {_named(system["name"]): system for system in systems}
    labelled = old["systems"] and any(system["accuracy"] for system in old["systems"])
    return {
        **_shared(old, "classification", sorted({seed for found in seeds.values() for seed in found})),
        "metrics": _dumped(_LABELLING),
        "headline": "accuracy" if labelled else "agreement",
        "systems": [_system(system, old["recipe"], system["layers"]) for system in systems],
        "figures": [figure for system in systems for figure in _labelling_figures(system, old["test_rows"])],
        "comparisons": [_comparison(c, seeds) for c in old["comparisons"]],
        "sections": [
            {"kind": "classes", "labels": old["labels"]},
            {"kind": "speed", "systems": {n: s["speed"] for n, s in by_name.items() if s["speed"]}},
            {"kind": "reliability", "systems": {n: s["reliability"] for n, s in by_name.items() if s["reliability"]}},
            {"kind": "confusion", "systems": {n: s["confusion"] for n, s in by_name.items() if s["confusion"]}},
            {"kind": "disagreements", "rows": old["disagreements"]},
            *([{"kind": "teacher_labels", **old["teacher_labels"]}] if old.get("teacher_labels") else []),
            *([_adapter(old["adapter"])] if old.get("adapter") else []),
            *([{"kind": "calibration", **old["calibration"]}] if old.get("calibration") else []),
        ],
    }


def _labelling_figures(system: Json, test_rows: int) -> list[Json]:
    classes, seeds = system["per_class"], {seed["seed"]: seed for seed in system["seeds"]}
    labelled = sum(c["rows"] for c in classes) // max(1, len(seeds)) if classes else None
    rows = dict.fromkeys((*_OF_LABELS, "loss", "ece"), labelled)
    values = {
        **{metric: system.get(metric) for metric in (*_OF_LABELS, "agreement")},
        "kl": system["kl_to_teacher_nats"],
        "loss": _bare(system["loss_nats"]),
        "ece": _bare(system["expected_calibration_error"]),
    }
    names = {"kl": "kl_to_teacher_nats"}
    figures = [
        _figure(system, metric, value, rows.get(metric, test_rows), _by_seed(seeds, names.get(metric, metric)))
        for metric, value in values.items()
        if value is not None
    ]
    for of_class in classes:
        # The rows of all seeds are counted together.
        rows_held_out = of_class["rows"] // max(1, len(seeds))
        figures += [
            _figure(system, metric, _bare(of_class[key]), rows_held_out, slice={"class": of_class["label"]})
            for metric, key in _OF_CLASSES.items()
            if of_class.get(key) is not None
        ]
    return figures


def _adapter(old: Json) -> Json:
    return {**{key: value for key, value in old.items() if key != "kind"}, "kind": "adapter", "name": old["kind"]}


# --- ranking across languages -------------------------------------------------------------------------------------

_RANKING = [
    Metric(key="accuracy", title="Accuracy", detail="records right", unit="share", higher_is_better=True),
    Metric(key="mrr", title="MRR", detail="mean reciprocal rank", unit="number", higher_is_better=True),
    Metric(key="ndcg", title="nDCG", detail="of web pages", unit="number", higher_is_better=True, table="tasks"),
    Metric(key="span_f1", title="span F1", detail="of given spans", unit="number", higher_is_better=True,
           table="tasks"),
]  # fmt: skip


def _ranking(old: Json) -> Json:
    source, targets = old["source_language"], old["languages"]
    main = _main_of(old)
    names = list(dict.fromkeys(system["name"] for system in old["systems"]))
    titles = {system["name"]: system["title"] for system in old["systems"]}
    cells = [cell for system in old["systems"] for cell in system["cells"]]
    constant = {"name": "constant", "title": "Always the most frequent answer", "role": "constant",
                "detail": "of each task and language; chance where records bring their own candidates"}  # fmt: skip
    systems = [
        {
            "name": _named(name),
            "title": titles[name],
            "role": "teacher" if _named(name) == "teacher" else "main" if name == main else "baseline",
            "recipe": name,
            "control": name in _CONTROLS,
        }
        for name in names
    ]
    figures = [figure for system in old["systems"] for figure in _ranking_figures(system, targets)]
    if old.get("most_frequent") is not None:
        systems.append(constant)
        figures.append(_figure({"name": "constant"}, "accuracy", _bare(old["most_frequent"])))
    candidates: dict[str, dict[str, int]] = {}
    for cell in cells:
        candidates.setdefault(cell["lang"], {})[cell["task"]] = cell["candidates"]
    return {
        **_shared(old, "ranking", old["seeds"]),
        "metrics": _dumped(_RANKING),
        "headline": "accuracy",
        "systems": systems,
        "figures": figures,
        "comparisons": [one for c in old["comparisons"] for one in _ranking_comparisons(c)],
        "costs": [_renamed(cost) for cost in old["stage_costs"]],
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
    """The main system: the one that was compared with the others, or the one that is not the teacher."""
    trained = [system["name"] for system in old["systems"] if system["name"] != "english_model"]
    compared = [comparison["first"] for comparison in old["comparisons"]]
    return next(iter([*compared, *(name for name in trained if name == "ml_ipd"), *trained]), None)


def _ranking_figures(system: Json, targets: list[str]) -> list[Json]:
    cells, at_home = system["cells"], set(targets)
    figures = []
    for metric in ("accuracy", "mrr", "ndcg", "span_f1"):
        of_cells = [
            _figure(system, metric, cell[metric], cell["records"] if metric in ("accuracy", "mrr") else None,
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
            macro = _figure(system, metric, system[f"macro_{metric}"])
            figures.append({**macro, "seeds": whole.get("seeds", {}), "rows": whole.get("rows")})
    for resource in ("high", "low"):
        if system[f"{resource}_accuracy"] is not None:
            value = _bare(system[f"{resource}_accuracy"])
            figures.append(_figure(system, "accuracy", value, slice={"resource": resource}))
    return figures


def _grouped(figures: Iterable[Json], key: str) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for figure in figures:
        found.setdefault(figure["slice"][key], []).append(figure)
    return found


def _mean(figures: list[Json], slice: Json) -> Json:
    """The mean of figures, over seeds that all have; a single one keeps its interval."""
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
        "first": _named(old["first"]),
        "second": _named(old["second"]),
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
        tests += [_mcnemar(test) for test in found.get("mcnemar", [])]
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
        "system": _named(old["name"]),
        "budget": old["n_target"],
        "teacher_hours": old["english_model_hours"],
    }


def _budgeted(old: Json) -> Json:
    kept = {key: value for key, value in old.items() if key not in ("system", "n_target")}
    return {**kept, "system": _named(old["system"]), "budget": old["n_target"]}


# --- generation ---------------------------------------------------------------------------------------------------

_GENERATION = [
    Metric(key="numeric_match", title="Right numbers", detail="of answers", unit="share", higher_is_better=True),
    Metric(key="rouge_l", title="ROUGE-L", detail="F1", unit="share", higher_is_better=True),
    Metric(key="exact_match", title="Exact match", detail="of answers", unit="share", higher_is_better=True),
    Metric(key="perplexity", title="Perplexity", detail="of references", unit="perplexity", higher_is_better=False),
    Metric(key="kl", title="KL", detail="to teacher", unit="nats", higher_is_better=False),
    Metric(key="agreement", title="Agreement", detail="tokens as teacher", unit="share", higher_is_better=True),
    Metric(key="nll", title="Loss per token", unit="nats", higher_is_better=False, table="loss"),
    Metric(key="nll_by_row", title="Loss per row", unit="nats", higher_is_better=False, table="loss"),
    Metric(key="words", title="Words", unit="words", higher_is_better=None, table="answers"),
    Metric(key="repeated_4_grams", title="Repeated 4-grams", unit="share", higher_is_better=False, table="answers"),
    Metric(key="distinct_1", title="Distinct words", unit="share", higher_is_better=None, table="answers"),
    Metric(key="distinct_2", title="Distinct pairs", unit="share", higher_is_better=None, table="answers"),
    Metric(key="cut_off", title="Cut off", unit="share", higher_is_better=False, table="answers"),
    Metric(key="empty", title="Empty", unit="share", higher_is_better=False, table="answers"),
]  # fmt: skip
_OLD_KEYS = {"kl": "kl_to_teacher_nats", "nll": "nll_nats", "nll_by_row": "nll_by_row_nats"}
_NEW_KEYS = {old: new for new, old in _OLD_KEYS.items()}


def _generation(old: Json) -> Json:
    found = old["figures"]
    systems, seeds = found["systems"], {s["name"]: [x["seed"] for x in s["seeds"]] for s in found["systems"]}
    constant = found.get("one_answer")
    figures = [figure for system in systems for figure in _generation_figures(system)]
    described = [_system(system, old["recipe"]) for system in systems]
    if constant is not None:
        rows = f"{constant['rows']:,} of {constant['of_rows']:,} answered rows"
        detail = f"'{constant['answer']}', the reference of {rows}"
        described.append({"name": "constant", "title": "Always the most frequent answer", "role": "constant",
                          "detail": detail})  # fmt: skip
        figures += [
            _figure({"name": "constant"}, metric, constant[metric], constant["of_rows"])
            for metric in ("rouge_l", "exact_match", "numeric_match")
            if constant[metric]
        ]
    return {
        **_shared(old, "generation", old["seeds"]),
        "metrics": _dumped(_GENERATION),
        "headline": _NEW_KEYS.get(found["headline"], found["headline"]),
        "systems": described,
        "figures": figures,
        "comparisons": [_comparison(c, seeds) for c in found["comparisons"]],
        "sections": [
            {"kind": "writing", **{key: old[key] for key in ("task", "encoder_decoder", "decoding", "test_tokens")}},
            {"kind": "speed", "systems": {_named(s["name"]): _speed(s["speed"]) for s in systems}},
            {"kind": "retention", "kept": [_renamed(kept) for kept in found["retention"]]},
            {
                "kind": "samples",
                "samples": [{**s, "answers": [_renamed(answer) for answer in s["answers"]]} for s in found["samples"]],
            },
        ],
    }


def _generation_figures(system: Json) -> list[Json]:
    seeds = {seed["seed"]: seed for seed in system["seeds"]}
    values = {**system, **(system["written"] or {})}
    figures = []
    for metric in _GENERATION:
        key = _OLD_KEYS.get(metric.key, metric.key)
        value = values.get(key)
        if value is not None:
            value = value if isinstance(value, dict) else _bare(value)
            figures.append(_figure(system, metric.key, value, seeds=_by_seed(seeds, key)))
    return figures


def _speed(old: Json) -> Json:
    return {**old, "latency_ms_median": None, "latency_ms_p95": None, "throughput_rows_per_second": None}


# --- shared -------------------------------------------------------------------------------------------------------


def _shared(old: Json, kind: str, seeds: list[int]) -> Json:
    """What all three had; kinds replace what they say otherwise."""
    uses = {"train": "train_rows", "labelled": "labelled_rows", "test": "test_rows", "left_out": "left_out_rows"}
    facts = {name.capitalize(): name for name in ("pairing", "prompts", "scorer", "teacher", "student")}
    return {
        "format": "limbeck-results-2",
        "kind": kind,
        "run": {
            **{key: old[key] for key in ("name", "created", "limbeck_version", "command")},
            "recipe": old["recipe"] if "recipe" in old else _main_of(old) or "",
            "paper": old.get("paper", ""),
            "seeds": seeds,
            "rows": {use: old[key] for use, key in uses.items() if key in old} | old.get("records", {}),
            "facts": {name: old[key] for name, key in facts.items() if key in old},
            "resolved": old["resolved_run"],
            "environment": old["environment"],
            "data_fingerprints": old["data_fingerprints"],
        },
        "verdict": old["verdict"],
        "warnings": old["warnings"],
        "curves": [_renamed(curve) for curve in old["curves"]],
        "costs": [_renamed(cost) for cost in old["costs"]] if kind != "ranking" else [],
    }


def _named(name: str) -> str:
    return _NAMES.get(name, name)


def _renamed(old: Json) -> Json:
    """The same, but for the name of its system."""
    return {**old, "system": _named(old["system"])}


def _dumped(metrics: list[Metric]) -> list[Json]:
    return [metric.model_dump() for metric in metrics]


def _system(old: Json, recipe: str, layers: int | None = None) -> Json:
    name = _named(old["name"])
    return {
        "name": name,
        "title": old["title"],
        "role": _ROLES[name],
        "detail": old["detail"],
        "recipe": recipe if name == "distilled" else name if _ROLES[name] == "baseline" else None,
        "control": name in _CONTROLS,
        "layers": layers,
    }


def _figure(
    system: Json,
    metric: str,
    value: Json,
    rows: int | None = None,
    seeds: Mapping[int, float] | None = None,
    slice: Json | None = None,
) -> Json:
    return {
        "system": _named(system["name"]),
        "metric": metric,
        "slice": slice or {},
        "budget": system.get("n_target"),
        **value,
        "seeds": dict(seeds or {}),
        "rows": rows,
    }


def _bare(value: float | None) -> Any:
    """A value without an interval; None where there is none."""
    return None if value is None else {"value": value}


def _by_seed(seeds: Mapping[int, Json], key: str) -> dict[int, float]:
    return {seed: found[key] for seed, found in seeds.items() if found.get(key) is not None}


def _comparison(old: Json, seeds: Mapping[str, list[int]]) -> Json:
    """A comparison of classification or generation: one difference, with its tests."""
    first, second = seeds.get(old["first"], []), seeds.get(old["second"], [])
    per_seed = old["per_seed_difference"]
    paired = next((found for found in (sorted(first), sorted(second)) if len(found) == len(per_seed)), [])
    tests = [{"name": "bootstrap", "p_value": old["bootstrap_p_value"]}]
    tests += [_mcnemar(test) for test in old.get("mcnemar", [])]
    if old["t_test_p_value"] is not None:
        tests.append({"name": "t", "p_value": old["t_test_p_value"]})
    return {
        "first": _named(old["first"]),
        "second": _named(old["second"]),
        "metric": _NEW_KEYS.get(old["metric"], old["metric"]),
        **old["difference"],
        "seeds": dict(zip(paired or range(len(per_seed)), per_seed, strict=True)),
        "tests": tests,
    }


def _mcnemar(old: Json) -> Json:
    details = {key: old[key] for key in ("only_first_right", "only_second_right")}
    return {"name": "mcnemar", "p_value": old["p_value"], "seed": old["seed"], "details": details}


OLD_FORMATS: dict[str, Callable[[Json], Json]] = {
    "limbeck-results-1": _classification,
    "limbeck-languages-1": _ranking,
    "limbeck-generation-1": _generation,
}
"""What reads each format of limbeck 0.1."""
