"""One arm of the step benchmark in a process of its own: it steps when told to, and says what a step cost.

Each line that comes in is the order for one step; each line that goes out is what it cost, as JSON. Seconds are
user and system time of the process. The memory of a step is the most that was resident during it, less what was
resident before it (weights, optimiser states and imports are), after free memory went back to the system.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

import torch
from resident import peak_bytes, start_anew


class Clock:
    """Marks the ends of steps. The first step, of short rows, is a warm-up that no one waits for."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what libraries print goes to stderr
        self._started = 0.0
        self._resident = 0

    def end_step(self, loss: float | None = None, **more: Any) -> None:
        """Say what the step since the last mark cost, and wait for the order for the next."""
        seconds = time.process_time() - self._started
        if self._started:
            self._say(seconds=seconds, memory=peak_bytes() - self._resident, loss=loss, **more)
        else:
            self._say(ready=True)
        if sys.stdin.readline().strip() != "step":
            os._exit(0)
        self._resident = start_anew()
        self._started = time.process_time()

    def _say(self, **values: Any) -> None:
        print(json.dumps(values), file=self._out, flush=True)


def options() -> argparse.Namespace:
    """Return what the parent process asks of this one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("arm")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--tied", action="store_true")
    torch.set_num_threads(1)
    return parser.parse_args()


def trainer_callback(clock: Clock, trainer: Any) -> Any:
    """Return a callback that marks the ends of a `transformers.Trainer`'s steps; it is to be added to `trainer`."""
    from transformers import TrainerCallback

    losses: list[torch.Tensor] = []
    training_step = trainer.training_step

    def keep_loss(*arguments: Any, **named: Any) -> torch.Tensor:
        losses.append(training_step(*arguments, **named))
        return losses[-1]

    trainer.training_step = keep_loss

    class StepCallback(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.end_step(float(losses.pop()))

    return StepCallback()
