"""Records of classification runs of limbeck 0.1 (``limbeck-results-1``)."""

from __future__ import annotations

from limbeck.results.figures import Metric
from limbeck.results.old.shared import (
    Json,
    bare,
    by_seed,
    comparison_of,
    dumped,
    figure_of,
    named,
    shared_fields,
    system_of,
)

__all__ = ["classification"]

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


def classification(old: Json) -> Json:
    """Return a record in the current format; see `limbeck.results.upgrade`."""
    systems = [*old["systems"], *([old["most_frequent"]] if old.get("most_frequent") else [])]
    seeds = {system["name"]: [seed["seed"] for seed in system["seeds"]] for system in systems}
    by_name = {named(system["name"]): system for system in systems}
    labelled = old["systems"] and any(system["accuracy"] for system in old["systems"])
    trained = sorted({seed for found in seeds.values() for seed in found})
    return {
        **shared_fields(old, "classification", recipe=old["recipe"], seeds=trained, costs=old["costs"]),
        "metrics": dumped(_LABELLING),
        "headline": "accuracy" if labelled else "agreement",
        "systems": [system_of(system, old["recipe"], system["layers"]) for system in systems],
        "figures": [figure for system in systems for figure in _labelling_figures(system, old["test_rows"])],
        "comparisons": [comparison_of(c, seeds) for c in old["comparisons"]],
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
        "loss": bare(system["loss_nats"]),
        "ece": bare(system["expected_calibration_error"]),
    }
    names = {"kl": "kl_to_teacher_nats"}
    figures = [
        figure_of(system, metric, value, rows.get(metric, test_rows), by_seed(seeds, names.get(metric, metric)))
        for metric, value in values.items()
        if value is not None
    ]
    for of_class in classes:
        # The rows of all seeds are pooled.
        rows_held_out = of_class["rows"] // max(1, len(seeds))
        figures += [
            figure_of(system, metric, bare(of_class[key]), rows_held_out, slice={"class": of_class["label"]})
            for metric, key in _OF_CLASSES.items()
            if of_class.get(key) is not None
        ]
    return figures


def _adapter(old: Json) -> Json:
    return {**{key: value for key, value in old.items() if key != "kind"}, "kind": "adapter", "name": old["kind"]}
