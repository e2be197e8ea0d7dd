"""Where a head begins, and how a stage is judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.recipes.linear_probe import probe
from limbeck.tasks.classification.recipe_stages import dev_judge, recipe_stages
from limbeck.tasks.classification.training_config import ClassifierEarlyStopping, ClassifierRecipe, ClassifierTraining

Make = Callable[..., Any]
JUDGED = ClassifierTraining(early_stopping=ClassifierEarlyStopping())


@pytest.mark.parametrize(
    ("recipe", "fits"),
    [
        ("fine_tune", [True]),
        ("setfit", [False, True]),
        ("linear_probe", [True]),
        ("kd", [True]),
        ("pkd", [True]),
        ("tinybert", [False, True]),
        ("minilm", [False, True]),
    ],
)
def test_a_new_head_is_fitted_once(recipe: str, fits: list[bool], make_classifier: Make) -> None:
    model = make_classifier()
    named = ClassifierRecipe(name=recipe)
    model.head_is_new = True
    assert [stage.fit_head for stage in recipe_stages(named, model, ClassifierTraining())] == fits
    always = [stage.fit_head for stage in named.build().stages]  # of recipes that are about it
    assert [one.fit_head for one in recipe_stages(named, model, ClassifierTraining(fit_head=False))] == always
    model.body_is_new = True
    assert [one.fit_head for one in recipe_stages(named, model, ClassifierTraining())] == always, "random features"
    model.body_is_new, model.head_is_new = False, False
    assert [stage.fit_head for stage in recipe_stages(named, model, ClassifierTraining())] == always


def test_a_model_is_measured_on_rows_with_gold_labels(make_classifier: Make, make_task: Make) -> None:
    task, model = make_task(12), make_classifier(scale=4.0)
    judge = dev_judge(probe(), JUDGED, lambda: task.encoded, task.labels)
    assert judge is not None
    known = np.flatnonzero(task.labels >= 0)
    with torch.no_grad():
        logits = model.eval()(**task.encoded.batch(known)).logits
    gold = torch.from_numpy(task.labels[known])
    found = judge.measure(model)
    assert found.values == {
        "loss": pytest.approx(torch.nn.functional.cross_entropy(logits, gold).item(), abs=1e-6),
        "accuracy": pytest.approx((logits.argmax(-1) == gold).double().mean().item()),
    }
    assert found.worth == -found.values["loss"]
    stopping = ClassifierEarlyStopping(metric_for_best_model="accuracy")
    judge = dev_judge(probe(), ClassifierTraining(early_stopping=stopping), lambda: task.encoded, task.labels)
    assert judge is not None
    assert judge.measure(model).worth == found.values["accuracy"]


def test_stages_that_are_not_judged(make_task: Make) -> None:
    def encode() -> Any:
        raise AssertionError("no row is read")

    contrastive, _ = ClassifierRecipe(name="setfit").build().stages
    assert dev_judge(contrastive, JUDGED, encode, make_task(3).labels) is None
    intermediate, prediction = ClassifierRecipe(name="tinybert").build().stages
    assert dev_judge(intermediate, JUDGED, encode, make_task(3).labels) is None, "its head is not trained"
    assert dev_judge(prediction, JUDGED, lambda: make_task(3).encoded, make_task(3).labels) is not None
    assert dev_judge(probe(), ClassifierTraining(), encode, make_task(3).labels) is None
