"""The best weights of a stage by development rows, and when it ends early."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from limbeck.atomic import replace_folder
from limbeck.intact import Damage, open_seal, seal
from limbeck.models.load import load_weights, save_model
from limbeck.ranks import from_main, is_main, wait_for_all

__all__ = ["BestWeights", "EarlyStopping", "Judge", "Judgement"]

_WORST = -sys.float_info.max  # JSON, in which the state is kept, has no infinity
_BEST, _WHOLE = "best", "limbeck.json"


class EarlyStopping(BaseModel):
    """How a stage is judged on development rows; it always ends with its best weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eval_steps: Annotated[int, Field(gt=0, le=10**9)] = 50
    """Optimiser steps from one judgement to the next; the start and the end are judged too."""
    early_stopping_patience: Annotated[int, Field(gt=0, le=10**9)] | None = 3
    """Judgements in a row that may be no better than the best one before the stage ends; ``null``: it never ends
    early."""


class Judgement(NamedTuple):
    """What development rows say of a model."""

    worth: float
    """Higher is better; nan is worse than any number."""
    values: dict[str, float]
    """By the names of metrics, for the log."""


@dataclass(frozen=True)
class Judge:
    """How a model in training is measured on development rows."""

    settings: EarlyStopping
    measure: Callable[[Any], Judgement]
    """Leaves the model in evaluation mode."""

    def is_judged(self, step: int, steps: int) -> bool:
        """Whether weights are judged after `step` of `steps` steps."""
        return step % self.settings.eval_steps == 0 or step == steps


class BestWeights:
    """Keeps a stage's best weights next to its checkpoints, each under the number of its step.

    A checkpoint names the best weights of its step. Weights that some checkpoint names are kept, so that a stage which
    resumes from any of them finds them, whatever was better later.

    Args:
        judge: measures the model.
        checkpoints: folder of the stage's checkpoints.
    """

    def __init__(self, judge: Judge, checkpoints: Path) -> None:
        self._judge = judge
        self._folder = checkpoints
        self._worth: float | None = None
        self._step = 0
        self._worse = 0

    def state(self) -> dict[str, Any]:
        """Return what a resumed stage needs to know."""
        return {"step": self._step, "worth": self._worth, "worse": self._worse}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._step, self._worth, self._worse = int(state["step"]), state["worth"], int(state["worse"])

    def is_there(self, state: Mapping[str, Any]) -> bool:
        """Whether the weights that a state names are whole."""
        try:
            open_seal(self._of(int(state["step"])) / _WHOLE, self._of(int(state["step"])))
        except Damage:
            return False
        return True

    def judge(self, model: Any, step: int, steps: int) -> dict[str, float]:
        """Measure a model, unless it is not its turn, and keep it if it is the best so far; return the values."""
        if not self._judge.is_judged(step, steps):
            return {}
        found = self._judge.measure(model)
        worth, values = from_main(found.worth), {name: from_main(value) for name, value in found.values.items()}
        worth = _WORST if math.isnan(worth) else worth
        if self._worth is not None and not worth > self._worth:
            self._worse += 1
            return values
        self._worth, self._step, self._worse = worth, step, 0
        if is_main():
            with replace_folder(self._of(step)) as part:
                save_model(model, None, part)
                seal(part / _WHOLE, {"step": step}, part)
        wait_for_all()
        return values

    @property
    def stops(self) -> bool:
        """Whether the stage should end now."""
        patience = self._judge.settings.early_stopping_patience
        return patience is not None and self._worse >= patience

    def forget(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Delete weights that are not the best and that no state of a checkpoint names."""
        kept = {self._of(step) for step in (self._step, *(int(state["step"]) for state in states))}
        for folder in self._folder.glob(f"{_BEST}-*"):
            if folder not in kept:
                shutil.rmtree(folder)

    def load(self, model: Any) -> int:
        """Give a model the best weights; return their step."""
        load_weights(model, self._of(self._step))
        return self._step

    def _of(self, step: int) -> Path:
        return self._folder / f"{_BEST}-{step}"
