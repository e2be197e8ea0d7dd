"""How good is this model on these rows? With another model beside it, if wanted."""

from __future__ import annotations

from limbeck.data.encode import Encoded
from limbeck.data.load import Fields, load_rows
from limbeck.data.prompts.scored import encode_for
from limbeck.data.tasks import label_ids
from limbeck.errors import ModelError
from limbeck.evaluation.predict import predict_logits
from limbeck.evaluation.speed import measure_speed
from limbeck.evaluation.systems import HeldOut, Predictions, compare, describe
from limbeck.models.layers import depth
from limbeck.results import Comparison, System, SystemName
from limbeck.runs.predictor import Predictor
from limbeck.types import Progress

__all__ = ["evaluate"]


def evaluate(
    model: str, data: str, *, against: str | None, fields: Fields | None, progress: Progress
) -> tuple[list[System], list[Comparison]]:
    """Return the figures of `model` on the rows of `data`, and of `against` with the differences.

    Args:
        model: a student folder, or any fine-tuned classifier.
        data: rows to read.
        against: a second model, as the teacher; fidelity to it is measured as well.
        fields: where text and label are in the rows; ``None``: as the model's ``task.json`` says.
        progress: shows how far it is.

    Raises:
        ModelError: a model cannot be loaded, or the two have different labels.
        DataError: the rows cannot be used.
    """
    predictors: dict[SystemName, Predictor] = {"distilled": Predictor(model)}
    if against is not None:
        predictors["teacher"] = Predictor(against)
    labels, task = predictors["distilled"].labels, predictors["distilled"].task
    for other in predictors.values():
        if other.labels != labels:
            raise ModelError(f"{model} and {against} have different labels, or in another order")
    rows = load_rows(data, fields or Fields(task.text, task.text_pair, task.label), labels=labels, split="test").rows
    held_out = HeldOut(rows, label_ids(rows, labels), labels)
    predictions: dict[SystemName, Predictions] = {}
    encoded: dict[str, Encoded] = {
        name: encode_for(p.model, rows, p.tokenizer, p.max_length) for name, p in predictors.items()
    }
    for name, predictor in predictors.items():
        with progress.track(f"predicting: {model if name == 'distilled' else against}", len(rows)) as advance:
            logits = predict_logits(predictor.model, encoded[name], advance=advance)
        layers = depth(predictor.model)
        title = model if name == "distilled" else str(against)
        predictions[name] = Predictions(name, title, f"{layers} layers", layers, {0: logits})
    speeds = measure_speed({name: p.model for name, p in predictors.items()}, encoded)
    teacher = predictions.get("teacher")
    systems = [
        describe(p, None if name == "teacher" else teacher, held_out, speeds[name]) for name, p in predictions.items()
    ]
    comparisons = []
    if teacher is not None and len(held_out.labelled):
        for metric in ("accuracy", "macro_f1"):
            comparisons.append(compare(predictions["distilled"], teacher, teacher, held_out, metric))
    return systems, comparisons
