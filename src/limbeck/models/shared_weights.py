"""Checkpoints that hold each tensor once, for modules with weights under several names."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["save_shared_once"]


def save_shared_once(module: nn.Module) -> None:
    """Make a module save tied weights only under their first name, and load such states.

    Safetensors refuses tensors that share memory; models of transformers handle their own tied weights, but
    modules around them do not.
    """
    module.register_state_dict_post_hook(_keep_shared_once)  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(_fill_shared)  # type: ignore[no-untyped-call]


def _keep_shared_once(_module: nn.Module, state: dict[str, Tensor], prefix: str, _metadata: object) -> None:
    """Leave tied weights (a head that is the word embeddings) out of a saved state, except under their first name."""
    seen = set()
    for name in [name for name in state if name.startswith(prefix)]:
        if state[name].data_ptr() in seen:
            del state[name]
        else:
            seen.add(state[name].data_ptr())


def _fill_shared(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Restore all names of tied weights in a loaded state, so that none counts as missing."""
    own = {prefix + name: parameter for name, parameter in module.named_parameters(remove_duplicate=False)}
    given = {id(parameter): state[name] for name, parameter in own.items() if name in state}
    missing = {name: id(parameter) for name, parameter in own.items() if name not in state}
    state.update({name: given[which] for name, which in missing.items() if which in given})
