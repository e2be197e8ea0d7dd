"""Records of generation runs of limbeck 0.1 (``limbeck-generation-1``)."""

from __future__ import annotations

from limbeck.results.figures import Metric
from limbeck.results.old.shared import (
    NEW_KEYS,
    OLD_KEYS,
    Json,
    bare,
    by_seed,
    comparison_of,
    dumped,
    figure_of,
    named,
    renamed,
    shared_fields,
    system_of,
)

__all__ = ["generation"]

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


def generation(old: Json) -> Json:
    """Return a record in the current format; see `limbeck.results.upgrade`."""
    found = old["figures"]
    systems, seeds = found["systems"], {s["name"]: [x["seed"] for x in s["seeds"]] for s in found["systems"]}
    constant = found.get("one_answer")
    figures = [figure for system in systems for figure in _generation_figures(system)]
    described = [system_of(system, old["recipe"]) for system in systems]
    if constant is not None:
        rows = f"{constant['rows']:,} of {constant['of_rows']:,} answered rows"
        detail = f"'{constant['answer']}', the reference of {rows}"
        described.append({"name": "constant", "title": "Always the most frequent answer", "role": "constant",
                          "detail": detail})  # fmt: skip
        figures += [
            figure_of({"name": "constant"}, metric, constant[metric], constant["of_rows"])
            for metric in ("rouge_l", "exact_match", "numeric_match")
            if constant[metric]
        ]
    return {
        **shared_fields(old, "generation", recipe=old["recipe"], seeds=old["seeds"], costs=old["costs"]),
        "metrics": dumped(_GENERATION),
        "headline": NEW_KEYS.get(found["headline"], found["headline"]),
        "systems": described,
        "figures": figures,
        "comparisons": [comparison_of(c, seeds) for c in found["comparisons"]],
        "sections": [
            {"kind": "writing", **{key: old[key] for key in ("task", "encoder_decoder", "decoding", "test_tokens")}},
            {"kind": "speed", "systems": {named(s["name"]): _speed(s["speed"]) for s in systems}},
            {"kind": "retention", "kept": [renamed(kept) for kept in found["retention"]]},
            {
                "kind": "samples",
                "samples": [{**s, "answers": [renamed(answer) for answer in s["answers"]]} for s in found["samples"]],
            },
        ],
    }


def _generation_figures(system: Json) -> list[Json]:
    seeds = {seed["seed"]: seed for seed in system["seeds"]}
    values = {**system, **(system["written"] or {})}
    figures = []
    for metric in _GENERATION:
        key = OLD_KEYS.get(metric.key, metric.key)
        value = values.get(key)
        if value is not None:
            value = value if isinstance(value, dict) else bare(value)
            figures.append(figure_of(system, metric.key, value, seeds=by_seed(seeds, key)))
    return figures


def _speed(old: Json) -> Json:
    return {**old, "latency_ms_median": None, "latency_ms_p95": None, "throughput_rows_per_second": None}
