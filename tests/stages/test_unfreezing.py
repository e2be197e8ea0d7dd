"""A stage that trains a part of the student leaves the rest as it is, to the bit, also after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.models.layers import layer_list
from limbeck.models.parts import parts_of
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.early_stopping import EarlyStopping, Judge, Judgement
from limbeck.stages.pipeline import StageRun, run_stage
from limbeck.stages.stage import Stage, Training
from limbeck.stages.unfreezing import OneLayer, Trained, Unfrozen, require_trainable, training_only
from limbeck.students.adapters import Adapter, add_adapter
from limbeck.types import Shapes, SilentProgress

Make = Callable[..., Any]
STEPS = 6
LAYERS: list[Trained] = [OneLayer(1), OneLayer(2)]
GROWING: list[Trained] = ["head", Unfrozen(1, 3), Unfrozen(2, 3), Unfrozen(3, 3)]


def stage_of(trains: Trained) -> Stage:
    return Stage("labels", (WeightedTerm("labels", LabelCrossEntropy()),), trains=trains)


def trained_in(model: Any, trains: Trained) -> set[str]:
    with training_only(model, trains):
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


class Progress(SilentProgress):
    def __init__(self, kill_at: int | None) -> None:
        self._kill_at, self.step = kill_at, 0

    def track(self, title: str, total: int, done: int = 0) -> Any:
        self.step = done

        def update(n: int, note: str = "") -> None:
            self.step += n
            if self.step == self._kill_at:
                raise KeyboardInterrupt

        return contextlib.nullcontext(update)


def run_of(task: Any, folder: Path, *, kill_at: int | None = None, judged: bool = False, **training: Any) -> StageRun:
    """Return a run of a stage; if it is judged, the weights after 4 steps are the best."""
    progress, early = Progress(kill_at), EarlyStopping(eval_steps=2, early_stopping_patience=None)
    judge = Judge(early, lambda model: Judgement(-abs(progress.step - 4), {}))
    settings = {"max_steps": STEPS, "batch_size": 8, "log_every": 1, "checkpoints": 3, "learning_rate": 1e-2}
    sequences = FixedSequences(np.arange(24), task.encoded.lengths, 8, STEPS, 0)
    folder.mkdir(exist_ok=True)
    return StageRun(folder / "stage", folder / "log.jsonl", "distilled", 0, Training(**(settings | training)),
                    sequences, task.batch, progress, "a stage", None, Shapes(2, 16, 2, 16),
                    judge=judge if judged else None)  # fmt: skip


def copied(model: Any) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(model: Any, before: dict[str, Tensor]) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


def test_the_trained_set_grows_to_everything(make_classifier: Make) -> None:
    model = make_classifier()
    sets = [trained_in(model, trains) for trains in GROWING]
    assert sets[0] == {name for name in dict(model.named_parameters()) if "classifier" in name or "pooler" in name}
    assert all(smaller < larger for smaller, larger in pairwise(sets))
    assert sets[-1] == trained_in(model, "all") == set(dict(model.named_parameters()))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_one_layer_is_that_layer(make_classifier: Make) -> None:
    model = make_classifier()
    for number, trains in enumerate(LAYERS):
        layer = dict(layer_list(model)[1][number].named_parameters())
        assert trained_in(model, trains) == {f"bert.encoder.layer.{number}.{name}" for name in layer}


def test_what_was_frozen_before_stays_so(make_classifier: Make) -> None:
    model = make_classifier()
    words = model.get_input_embeddings().weight.requires_grad_(False)
    with contextlib.suppress(KeyboardInterrupt), training_only(model, Unfrozen(3, 3)):
        assert not words.requires_grad
        raise KeyboardInterrupt
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == [
        "bert.embeddings.word_embeddings.weight"
    ]


@pytest.mark.parametrize("trains", [*GROWING, *LAYERS], ids=str)
def test_a_stage_changes_what_it_trains_and_nothing_else(
    trains: Trained, make_classifier: Make, make_task: Make, tmp_path: Path
) -> None:
    model = make_classifier(seed=1, dropout=0.1)
    before, expected = copied(model), trained_in(model, trains)
    cost = run_stage(stage_of(trains), run_of(make_task(), tmp_path, weight_decay=0.1), model)
    # A key's bias has no gradient: it adds the same to all scores of a query.
    no_gradient = {name for name in expected if name.endswith("key.bias")}
    assert expected - no_gradient <= changed(model, before) <= expected
    sizes = sum(before[name].numel() for name in expected)
    assert cost.gradient_bytes == 4 * sizes
    assert cost.optimiser_bytes is not None
    assert 0 <= cost.optimiser_bytes - 8 * sizes <= 4 * len(expected)  # two moments, and a step for each tensor
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_word_embeddings_stay_frozen_when_the_embeddings_are_unfrozen(
    make_classifier: Make, make_task: Make, tmp_path: Path
) -> None:
    model = make_classifier(seed=1)
    before = copied(model)
    run_stage(stage_of(Unfrozen(3, 3)), run_of(make_task(), tmp_path, freeze_word_embeddings=True), model)
    found = changed(model, before)
    assert "bert.embeddings.position_embeddings.weight" in found
    assert "bert.embeddings.word_embeddings.weight" not in found


@pytest.mark.slow
@pytest.mark.parametrize("judged", [False, True], ids=["last", "best"])
@pytest.mark.parametrize("adapter", [None, Adapter(kind="lora", rank=2)], ids=["whole", "lora"])
def test_a_kill_changes_nothing_in_the_end(
    adapter: Adapter | None, judged: bool, make_classifier: Make, make_task: Make, tmp_path: Path
) -> None:
    """Also for an adapter, whose kept weights lack what a stage has frozen."""
    task = make_task()

    def student() -> Any:
        model = make_classifier(seed=1, dropout=0.1)
        torch.manual_seed(2)
        return model if adapter is None else add_adapter(model, adapter)

    def run(folder: Path, kill_at: int | None = None) -> Any:
        """Train two stages, of which the second unfreezes more, in a process that may be killed in it."""
        model = student()
        folder.mkdir(exist_ok=True)
        run_stage(stage_of("all"), run_of(task, folder / "first", judged=judged), model)
        second = run_of(task, folder / "second", kill_at=kill_at, judged=judged)
        run_stage(stage_of(Unfrozen(1, 3)), second, model)
        return model

    whole = run(tmp_path / "whole")
    for kill_at in (1, 3, 5):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed", kill_at)
    assert not changed(run(tmp_path / "killed"), copied(whole))
    assert not changed(run(tmp_path / "killed"), copied(whole))  # finished: loaded


def test_a_student_of_too_few_layers_is_refused_before_training(make_classifier: Make) -> None:
    require_trainable(make_classifier("albert"), ["all"])
    require_trainable(make_classifier(), ["all", *GROWING, *LAYERS])
    for layer in (0, 3):
        with pytest.raises(ConfigError, match=f"trains layer {layer} alone, and the student has 2: give the recipe"):
            require_trainable(make_classifier(), ["all", *LAYERS, OneLayer(layer)])
    with pytest.raises(ConfigError, match="at most 3 parts"):
        require_trainable(make_classifier(), ["head", Unfrozen(1, 4)])
    for parts in (0, 4):
        with pytest.raises(ConfigError, match=f"1 to 3 of 3 parts below the head, not {parts}"):
            Unfrozen(parts, 3)


def test_parts_of_a_student_that_is_read(make_classifier: Make) -> None:
    model = make_classifier()
    parts = parts_of(model, 2)
    with training_only(model, Unfrozen(1, 2)):
        assert all(parameter.requires_grad for parameter in (*parts.head, *parts.below[0]))
        assert not any(parameter.requires_grad for parameter in parts.below[1])
