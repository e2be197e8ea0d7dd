"""Modules of terms that go on from one stage of a student to the next: kept beside the stage's weights, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

from limbeck.errors import ConfigError
from limbeck.losses.term import WeightedTerm

__all__ = ["keep_modules", "kept_file", "load_kept_modules"]

_FOLDER = "terms"
"""In the folder of a stage's weights, whose own loader does not look into it."""


def keep_modules(terms: Sequence[WeightedTerm], model_folder: Path) -> None:
    """Write the modules of a stage's terms that later stages may go on with, one safetensors file each."""
    for t in terms:
        for name, module in t.term.kept_modules.items():
            (model_folder / _FOLDER).mkdir(exist_ok=True)
            save_file(
                {key: tensor.contiguous() for key, tensor in module.state_dict().items()},
                model_folder / _FOLDER / f"{name}.safetensors",
                metadata={"format": "pt"},
            )


def load_kept_modules(terms: Sequence[WeightedTerm], before: Sequence[Path], stage: str) -> None:
    """Fill the modules of terms that go on from an earlier stage.

    Args:
        terms: of the stage that starts, bound.
        before: folders of the student's earlier stages, in order; the last one that has a module counts.
        stage: name of the stage, for messages.

    Raises:
        ConfigError: no earlier stage has trained a module.
    """
    for t in terms:
        for name, module in t.term.kept_modules.items() if t.term.continues else ():
            try:
                module.load_state_dict(load_file(kept_file(before, name)))
            except FileNotFoundError as error:
                raise ConfigError(
                    f"stage '{stage}' goes on with the {name.replace('_', ' ')} of an earlier stage, and none has "
                    "trained any: it had no steps. Raise training.max_steps, or that stage's share of them"
                ) from error


def kept_file(before: Sequence[Path], name: str) -> Path:
    """Return the file of a module that stages left; see `load_kept_modules`. Raises `FileNotFoundError`."""
    for folder in reversed(before):
        if (file := folder / "model" / _FOLDER / f"{name}.safetensors").is_file():
            return file
    raise FileNotFoundError(name)
