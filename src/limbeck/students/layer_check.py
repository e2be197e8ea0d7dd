"""Check, before anything is trained, that a copied layer does in the student what it does in its teacher.

Some models treat layers by their position: GPT-2 may divide a layer's attention by its number, ModernBERT's first
layer has no norm before attention, others rotate positions in three layers out of four. Copied weights do not show
this. So the layers of both models, as built from their configurations, are compared setting by setting. Then the
student reads two rows, and the input of each of its layers is given to the teacher's layer, together with the masks
and positions that the teacher passes to that layer: the outputs must be equal.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.layers import accepted_inputs, layer_list
from limbeck.models.trials import probe_ids, readable_tokens, undisturbed
from limbeck.students.layer_settings import cut_setting

__all__ = ["compare_layers", "require_like_layers"]

_ROWS = 2
_TOKENS = 160
"""More than the local attention of encoders covers (ModernBERT: 64 on either side)."""
_PADDED = 60
"""Padding of the second row: masking shows the difference between right and wrong copies."""


def require_like_layers(teacher: Any, student: Any, layers: Sequence[int]) -> None:
    """Refuse a student whose layers are built differently from those that were copied into them.

    Args:
        teacher: the model that layers were taken from. Only its class and configuration are used.
        student: a model of the same class.
        layers: numbers of the teacher's layers, from 1, in the student's order.

    Raises:
        ModelError: gives the layers and what differs: a module, a buffer, or a setting such as a window.
    """
    try:
        with torch.device("meta"):
            as_configured = type(teacher)(copy.deepcopy(teacher.config))
    except Exception:  # a model's own code may need tensors with values; the outputs of its layers are compared later
        return
    of_teacher, of_student = (layer_list(model)[1] for model in (as_configured, student))
    for place, layer in enumerate(layers, start=1):
        here, there = dict(of_student[place - 1].named_modules()), dict(of_teacher[layer - 1].named_modules())
        for name in sorted(here.keys() | there.keys()):
            if name not in here or name not in there or type(here[name]) is not type(there[name]):
                made = [type(found.get(name)).__name__ if name in found else "nothing" for found in (here, there)]
                raise _differ(teacher, place, layer, f"{name or 'the layer'} is {made[0]}, not {made[1]}")
            own = _settings(here[name])
            for what, value in _settings(there[name]).items():
                expected = (value, cut_setting(what, value, layers, len(of_teacher)))
                numbers = ((place - 1, layer - 1), (place, layer), (len(layers), len(of_teacher)))
                if own.get(what) not in expected and (own.get(what), value) not in numbers:
                    found = f"{name}.{what}".lstrip(".") + f" is {own.get(what)}, not {value}"
                    raise _differ(teacher, place, layer, found)


def compare_layers(teacher: Any, student: Any, layers: Sequence[int]) -> str | None:
    """Compare the outputs of copied layers on two rows; if that cannot be done, return why.

    The teacher and the student each run once, and the copied layers of the teacher once more.

    Raises:
        ModelError: a layer does something else in the student (gives the first), or the student cannot be run.
    """
    of_teacher, of_student = (layer_list(model)[1] for model in (teacher, student))
    tokens = readable_tokens(teacher, _TOKENS)
    ids = probe_ids(teacher, _ROWS, tokens)
    mask = torch.ones_like(ids)
    mask[1, max(1, tokens - _PADDED) :] = 0
    with undisturbed(teacher, student):
        try:
            with _calls(of_teacher) as there:
                _read(teacher, ids, mask)
        except Exception as error:  # models that need more than text fail with many kinds of error
            return f"the teacher cannot be run on two rows ({error})"
        try:
            with _calls(of_student) as here:
                _read(student, ids, mask)
        except Exception as error:
            raise _refusal(
                f"a student with copies of layers {list(layers)} cannot be run: {error}", teacher
            ) from error
        for place, layer in enumerate(layers, start=1):
            if place not in here or layer not in there:
                return f"layer {layer} is not run like the others"
            (inputs, output), (args, options) = here[place], there[layer][0]
            hidden = _hidden(*inputs)
            try:
                expected = _with_hidden(of_teacher[layer - 1], hidden, args, options)
            except Exception as error:
                return f"layer {layer} of the teacher cannot be run on its own ({error})"
            difference, added, size = _distance(output, expected, hidden, mask.bool())
            if math.isnan(added):
                return f"layer {layer} of the teacher gives values that are not finite"
            exact = expected.dtype == output.dtype == torch.float32
            if not difference <= (added / 1000 if exact else added / 10 + size / 100):  # NaN differs
                found = f"its output differs by {difference:.3g} on average, where the layer adds {added:.3g}"
                raise _differ(teacher, place, layer, found)
    return None


def _settings(module: nn.Module) -> dict[str, Any]:
    """Return the plain values of a module, and the shapes of its own tensors."""
    plain = (int, float, str, bool, type(None))
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (type(value) in plain or (type(value) in (list, tuple) and all(type(part) in plain for part in value)))
    }
    tensors = [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]
    return found | {name: tuple(tensor.shape) for name, tensor in tensors}


@contextmanager
def _calls(layers: nn.ModuleList) -> Iterator[dict[int, tuple[Any, Any]]]:
    """Collect the inputs and output of each layer (from 1)."""
    found: dict[int, tuple[Any, Any]] = {}

    def keep(number: int) -> Any:
        def hook(_module: nn.Module, args: Any, options: Any, output: Any) -> None:
            found[number] = ((args, options), _state(output))

        return hook

    handles = [
        layer.register_forward_hook(keep(number), with_kwargs=True) for number, layer in enumerate(layers, start=1)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _read(model: Any, ids_BT: Tensor, mask_BT: Tensor) -> None:
    """Run the model without its head."""
    body = model.base_model
    where = next(model.parameters()).device
    options = {"use_cache": False} if "use_cache" in accepted_inputs(type(body).forward) else {}
    body(input_ids=ids_BT.to(where), attention_mask=mask_BT.to(where), **options)


def _state(output: Any) -> Any:
    return output[0] if isinstance(output, tuple | list) else output


def _hidden(args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    state: Tensor = args[0] if args else options["hidden_states"]
    return state


def _with_hidden(layer: nn.Module, hidden: Tensor, args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
    """Run a layer as its own model calls it, except for the input states."""
    before = _hidden(args, options)
    given = hidden.to(device=before.device, dtype=before.dtype)
    output = layer(given, *args[1:], **options) if args else layer(**{**options, "hidden_states": given})
    state: Tensor = _state(output)
    return state


def _distance(here: Tensor, there: Tensor, hidden: Tensor, mask_BT: Tensor) -> tuple[float, float, float]:
    """Return means over tokens of the difference of two outputs, the layer's addition to its input, and its output."""
    before, one, other = (state.detach().float().cpu() for state in (hidden, here, there))
    if before.shape[:2] == mask_BT.shape:
        before, one, other = (state[mask_BT] for state in (before, one, other))
    return float((one - other).abs().mean()), float((other - before).abs().mean()), float(other.abs().mean())


def _differ(teacher: Any, place: int, layer: int, found: str) -> ModelError:
    return _refusal(
        f"layer {place} of the student would not do what layer {layer} of the teacher does: {found}", teacher
    )


def _refusal(found: str, teacher: Any) -> ModelError:
    return ModelError(
        f"{found}. {type(teacher).__name__} treats layers by position, which its configuration cannot express here. "
        "Choose other layers (layers: first keeps all in their positions), or name a student (student.model)"
    )
