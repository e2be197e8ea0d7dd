"""Evaluation of a model on rows, with an optional second model."""

from __future__ import annotations

from limbeck.data.encode import Encoded
from limbeck.data.load import Fields, load_rows
from limbeck.data.prompts.scored import encode_for
from limbeck.data.tasks import label_ids
from limbeck.errors import ModelError
from limbeck.evaluation.classification import Classified, HeldOut, measure_classification
from limbeck.evaluation.predict import predict_logits
from limbeck.evaluation.speed import load_warnings, measure_speed
from limbeck.models.layers import depth
from limbeck.results.record import Results, Role, System
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.record import Facts, assemble
from limbeck.types import Progress

__all__ = ["evaluate"]


def evaluate(model: str, data: str, *, against: str | None, fields: Fields | None, progress: Progress) -> Results:
    """Return the figures of `model` on the rows of `data`, and of `against` with the differences.

    Args:
        model: a student folder, or any fine-tuned classifier.
        data: rows to read.
        against: a second model, as the teacher; fidelity to it is measured as well.
        fields: the fields of text and label; ``None``: as in the model's ``task.json``.
        progress: shows the progress.

    Raises:
        ModelError: a model cannot be loaded, or the two have different labels.
        DataError: the rows cannot be used.
    """
    predictors = {"distilled": Predictor(model)}
    if against is not None:
        predictors["teacher"] = Predictor(against)
    labels, task = predictors["distilled"].labels, predictors["distilled"].task
    for other in predictors.values():
        if other.labels != labels:
            raise ModelError(f"{model} and {against} have different labels, or in another order")
    rows = load_rows(data, fields or Fields(task.text, task.text_pair, task.label), labels=labels, split="test").rows
    encoded: dict[str, Encoded] = {
        name: encode_for(p.model, rows, p.tokenizer, p.max_length) for name, p in predictors.items()
    }
    systems = []
    for name, predictor in predictors.items():
        title = model if name == "distilled" else str(against)
        with progress.track(f"predicting: {title}", len(rows)) as update:
            logits = predict_logits(predictor.model, encoded[name], update=update)
        layers = depth(predictor.model)
        role: Role = "main" if name == "distilled" else "teacher"
        system = System(name=name, title=title, role=role, detail=f"{layers} layers", layers=layers)
        calibrated = {} if predictor.temperature in (None, 1.0) else {0: predictor.temperature}
        systems.append(Classified(system, {0: logits}, calibrated))
    speeds = measure_speed({name: p.model for name, p in predictors.items()}, encoded)
    facts = Facts(kind="classification", name=model, recipe="", seeds=[0], rows={"test": len(rows)})
    measured = measure_classification(systems, HeldOut(rows, label_ids(rows, labels), labels))
    unlabelled = (
        f"No row of {data} has a label, so the accuracy of the model is unknown. --text and --label give the fields."
    )
    warnings = [] if any(label is not None for label in rows.label) else [unlabelled]
    return assemble(facts, measured, sections=[speeds], warnings=warnings + load_warnings(speeds))
