"""Carry out the golden runs of this checkout.

    python tests/golden/carry_out.py FOLDER [--only NAME ...]

``FOLDER/runs/NAME/`` is then the run folder of ``runs/NAME.yaml``. The test stores what comes out, within a
tolerance; `benchmarks/golden.py` compares two revisions bit by bit.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

import limbeck
from limbeck.results.sections import Speed

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in (HERE / "runs").glob("*.yaml"))
_ASIDE = {
    "limbeck.report.page.write_report": lambda results, path: path.touch(),
    "limbeck.evaluation.speed._measure_on_disk": lambda model, longest: (1, 1),
    "limbeck.tasks.generation.measure.writing_speed": lambda *words: Speed(
        parameters=1, size_bytes=1, tokens_per_second=None, batch_size=None, peak_memory_bytes=None
    ),
}
"""What takes long and leaves no trace in weights and log."""
_STOPS = {
    "classification_distilbert": 9,
    "token_classification_kd": 13,
    "regression_kd": 13,
    "multi_label_kd": 13,
    "generation_gkd": 11,
    "masked_lm_distilbert": 65,
    "ranking_dual": 13,
}
"""Runs that are interrupted, each in the middle of a stage, and the optimiser steps after which they are."""


class _StopAfter:
    """A progress display that ends the program after some optimiser steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def track(self, title: str, total: int, done: int = 0) -> Any:
        def update(n: int, note: str = "") -> None:
            self._left -= note.startswith("loss")  # other work than training notes no loss
            if self._left < 0:
                raise KeyboardInterrupt

        return contextlib.nullcontext(update)

    def log(self, message: str) -> None:
        pass


def carry_out(name: str, folder: Path) -> Any:
    """Carry out one run in a folder that has its inputs (`make_inputs`), and return its results."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        for place, instead in _ASIDE.items():
            stack.enter_context(patch(place, instead))
        sections = yaml.safe_load((HERE / "runs" / f"{name}.yaml").read_text(encoding="utf-8"))
        if name in _STOPS:
            try:
                limbeck.distill(**sections, progress=_StopAfter(_STOPS[name]))
            except KeyboardInterrupt:
                inside = list(Path(sections["output"]).glob("stages/**/checkpoints/*/limbeck.json"))
                assert inside, f"{name} was not interrupted inside a stage"
            else:
                raise AssertionError(f"{name} was not interrupted")
        return limbeck.distill(**sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="these runs alone")
    arguments = parser.parse_args()
    from inputs import make_inputs  # beside this file; as a test it is `tests.golden.inputs`

    make_inputs(arguments.folder)
    for name in arguments.only:
        carry_out(name, arguments.folder)
        print(f"{name}: done", flush=True)


if __name__ == "__main__":
    main()
