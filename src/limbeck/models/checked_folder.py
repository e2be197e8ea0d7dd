"""The folder that a model's name refers to, and checks of its files before any library reads them.

Only the model's own safetensors weights are read, no code is run, and a damaged or hostile folder ends in an
error that names the file.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from limbeck.errors import LimbeckError, ModelError
from limbeck.formatting import printable
from limbeck.models.hub import hub_folder, hub_weights, is_hub_name
from limbeck.models.json_file import read_json

__all__ = ["Weights", "bounded", "model_folder", "model_weights", "reading", "refuse_counts", "tensor_shapes"]

_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_COUNT = re.compile(r"^(num|n)_|layers$|^depth$")
_LARGEST_COUNT = 10**6
"""Maximum of layers, heads or experts. Lists of that length are still built instantly."""
_MOST_LABELS = 100_000
"""A million names take too long to read, and no classifier has so many."""
_DAMAGED = "Its files are damaged, or of an unknown kind of model; copy or download it again"
_NOT_FETCHED = "The download from the hub is incomplete; try again, or give a folder"
_MOST_TENSORS, _MOST_ELEMENTS = 50_000, 10**13
"""Maximum for any model; the experts of a layer are one tensor."""
_REASON_WIDTH = 300
_NEIGHBOURS = 1000


@dataclass(frozen=True)
class Weights:
    """The weights of a folder, as described by the headers of their files."""

    folder: Path
    shapes: dict[str, tuple[int, ...]]
    size_bytes: int


@contextmanager
def reading(what: str, name: str | Path, advice: str = _DAMAGED) -> Iterator[None]:
    """Turn anything that a library raises for a model it cannot use into a `ModelError`.

    Libraries raise nearly every kind of error on damaged files, and nothing else happens in the block.

    Args:
        what: the action, as in the message: ``load the tokenizer of``.
        name: the model.
        advice: the message's end.
    """
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:
        raise _cannot_load(what, name, error, advice) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # from libraries written in Rust; not a subclass of Exception
            raise
        raise _cannot_load(what, name, error, advice) from error


def model_folder(name: str, *, trust_remote_code: bool = False) -> Path:
    """Return the folder of a model: the one with this name, or a hub name's in the cache, after fetching small files.

    Args:
        name: a folder or hub name.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        ModelError: no such folder or model, or a folder whose files must not be read.
    """
    folder = Path(os.path.expanduser(name))
    if not name or not os.path.isdir(folder):  # also false if the name is too long or invalid
        if _looks_like_a_path(name) or not is_hub_name(name):
            raise ModelError(_no_folder(name))
        try:
            with reading("load the model of", name, _NOT_FETCHED):
                folder = hub_folder(name)
        except ModelError as error:
            raise ModelError(f"{error}.{_neighbours(name)}") from error.__cause__
    if _is_a_run(folder):
        raise ModelError(f"cannot load '{name}': it is the folder of a run. Give its student, {folder / 'student'}")
    _require_safe(folder, trust_remote_code=trust_remote_code)
    return folder


def model_weights(name: str, *, trust_remote_code: bool = False) -> Weights:
    """Return the description in a model's weights files, after fetching those of a hub name.

    Raises:
        ModelError: as `model_folder`; or no safetensors weights, or damaged ones.
    """
    folder = model_folder(name, trust_remote_code=trust_remote_code)
    if not os.path.isdir(os.path.expanduser(name)):
        with reading("load the weights of", name, _NOT_FETCHED):
            folder = hub_weights(name, names_in)
        _require_safe(folder, trust_remote_code=trust_remote_code)
    shapes: dict[str, tuple[int, ...]] = {}
    files = _weight_files(folder, name)
    for file in files:
        shapes |= tensor_shapes(file)
    return Weights(folder, shapes, sum(file.stat().st_size for file in files))


def names_in(index: Path) -> list[str]:
    """Return the names of the weights files in an index.

    Raises:
        ModelError: the index is damaged, or names something other than a safetensors file next to it.
    """
    values = read_json(index)
    named = values.get("weight_map")
    if not isinstance(named, dict) or not named or not all(isinstance(file, str) for file in named.values()):
        raise ModelError(f"{index} is damaged: weight_map must give the file of each tensor. Download the model again")
    for file in dict.fromkeys(named.values()):
        _require_weights_name(index, file)
    return sorted(set(named.values()))


@contextmanager
def bounded(weights: Weights | None) -> Iterator[None]:
    """Stop a model that is far larger than its weights from being built: a few bytes may ask for any size.

    Parameters are counted as modules register them, before they are filled. Four times the weights leave room for
    4-bit weights, for tables that are stored once and built twice, and for layers that are stored as one.

    Args:
        weights: the model's weights; ``None``: it gets new ones, so only impossible sizes are refused.

    Raises:
        ModelError: the model is too large.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    most_tensors, most_elements = _MOST_TENSORS, _MOST_ELEMENTS
    said = (
        f"this configuration describes a model of more than {most_tensors:,} tensors or {most_elements:,} parameters"
    )
    if weights is not None:
        most_tensors, most_elements = 4 * len(weights.shapes) + 1000, 4 * weights.size_bytes + 10**7
        said = (
            f"{weights.folder / 'config.json'} describes a far larger model than its weights, which have "
            f"{len(weights.shapes)} tensors in {weights.size_bytes:,} bytes"
        )
    seen: set[tuple[int, str]] = set()
    elements = 0

    def count(module: Any, name: str, parameter: Any) -> None:
        nonlocal elements
        if parameter is None or (id(module), name) in seen:
            return
        seen.add((id(module), name))
        elements += parameter.numel()
        if len(seen) > most_tensors or elements > most_elements:
            raise ModelError(f"{said}: are its sizes (layers, width, vocabulary) right?")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def refuse_counts(values: dict[str, Any], where: str | Path) -> None:
    """Refuse numbers of layers, heads or labels for which a configuration alone would build endless lists.

    Raises:
        ModelError: gives the field.
    """
    for key, value in _scalars(values):
        if _COUNT.search(key) and isinstance(value, int) and value > _LARGEST_COUNT:
            raise ModelError(f"{where}: no model has {key}: {value}. Correct it, or copy or download the model again")
        if key in ("id2label", "label2id") and isinstance(value, dict) and len(value) > _MOST_LABELS:
            raise ModelError(
                f"{where}: no model has {len(value):,} labels ({key}). Correct it, or copy or download the model again"
            )


def _weight_files(folder: Path, name: str) -> list[Path]:
    own = read_json(folder / "config.json").get("transformers_weights")
    first = [_WHOLE, _INDEX] if own is None else [str(own)]
    chosen = next((file for file in first if (folder / file).is_file()), None)
    if chosen is None:
        raise ModelError(
            f"cannot load the model of '{name}': no {first[0]} in {folder}. Only safetensors weights are loaded:"
            " copy or download the model again, or convert older weights with transformers' save_pretrained"
        )
    files = [folder / file for file in names_in(folder / chosen)] if chosen.endswith(".json") else [folder / chosen]
    for file in files:
        if not file.is_file():
            raise ModelError(f"{folder / chosen} names {file.name}, which is not there. Copy or download it")
    return files


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a safetensors file, from its header.

    Raises:
        ModelError: there is no such file, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():  # a pipe or a device would be read forever
        raise ModelError(f"{file} is missing, or no plain file. Copy or download the model again")
    try:
        with safe_open(file, framework="pt") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{file} is damaged or was cut off ({file.stat().st_size:,} bytes): {_reason(error)}. Copy or download it "
            "again"
        ) from error


def _require_safe(folder: Path, *, trust_remote_code: bool) -> None:
    """Refuse anything that would make a library read files other than the model's own, run code, or hang."""
    for index in folder.glob("*.safetensors.index.json"):
        for name in names_in(index):
            _require_inside(index, folder / name)
    if (adapter := folder / "adapter_config.json").exists():
        raise ModelError(
            f"{adapter}: a PEFT adapter, which needs its base model. Merge it into that model "
            "(peft: merge_and_unload, then save_pretrained) and give the folder of the result"
        )
    if not (config := folder / "config.json").exists():
        return  # the library reports what it needs: a tokenizer needs none
    values = read_json(config)
    if (own := values.get("transformers_weights")) is not None:
        _require_weights_name(config, str(own).removesuffix(".index.json"))
    refuse_counts(values, config)
    for key, value in _scalars(values):
        # A hub name refers to compiled code.
        if "attn_implementation" in key and "/" in str(value) and not trust_remote_code:
            raise ModelError(f"{config}: {key} asks for code from the hub, '{value}'; remove the line")


def _scalars(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a mapping and all nested mappings."""
    open_ones: list[Any] = [values]
    while open_ones:
        one = open_ones.pop()
        if isinstance(one, dict):
            yield from one.items()
            open_ones += one.values()
        elif isinstance(one, list):
            open_ones += one


def _require_weights_name(where: Path, name: str) -> None:
    if not name.endswith(".safetensors") or name != os.path.basename(name) or "\\" in name or "\0" in name:
        raise ModelError(
            f"{where} names '{printable(name)[:80]}' as weights. Only safetensors files in the model's own folder are "
            "loaded: do not trust this model, or convert it with transformers' save_pretrained"
        )


def _require_inside(index: Path, file: Path) -> None:
    """Refuse links out of the folder, except in the hub's cache, whose files are links to its blobs."""
    real, folder = file.resolve(), file.parent.resolve()
    allowed = [folder, folder.parents[1] / "blobs"] if folder.parent.name == "snapshots" else [folder]
    if not any(real.is_relative_to(place) for place in allowed):
        raise ModelError(f"{index} names {file.name}, which is a link to {real}, outside the folder: copy the file")


def _looks_like_a_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name or os.path.exists(name)


def _no_folder(name: str) -> str:
    shown = printable(name) if len(name) <= 200 else f"{printable(name[:60])}... ({len(name)} characters)"
    if os.path.isfile(name):
        return f"cannot load '{shown}': it is a file. Give its folder"
    path = Path(os.path.expanduser(name))
    if path.name == "student" and _is_a_run(path.parent):
        return f"cannot load '{shown}': its run is not finished. Start it again with its command, and it resumes"
    return (
        f"cannot load '{shown}': there is no such folder, and no model on the hub can have this name. "
        "Give a folder in Hugging Face format (config.json, model.safetensors, tokenizer) or a "
        f"hub name (OWNER/NAME).{_neighbours(name)}"
    )


def _is_a_run(folder: Path) -> bool:
    return os.path.isdir(folder / "stages") and not os.path.exists(folder / "config.json")


def _neighbours(name: str) -> str:
    """Ask whether another folder is meant, if its spelling is close to the first missing part of the path."""
    path = Path(os.path.expanduser(name))
    try:
        missing = next(one for one in reversed([path, *path.parents]) if not one.exists())
        beside = [one.name for one in islice(os.scandir(missing.parent), _NEIGHBOURS) if one.is_dir()]
    except (OSError, StopIteration, ValueError):
        return ""
    rest = path.relative_to(missing)
    close = [missing.parent / one / rest for one in difflib.get_close_matches(missing.name[:200], beside, n=2)]
    meant = " or ".join(str(one) for one in close if one.is_dir())
    return f" Did you mean the folder {meant}?" if meant else ""


def _cannot_load(what: str, name: str | Path, error: BaseException, advice: str) -> ModelError:
    return ModelError(f"cannot {what} '{name}': {_reason(error).removesuffix('.')}. {advice}")


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = printable(lines[0][:_REASON_WIDTH]) if lines else ""
    if text and isinstance(error, OSError | ValueError | RuntimeError):
        return text
    return f"{type(error).__name__} {text}".strip()  # the text of other errors may be only a key
