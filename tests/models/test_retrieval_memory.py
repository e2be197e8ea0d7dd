"""A classifier's memory: mixed answers, its files, damage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.retrieval_memory import Memory, Retrieval, answers, read_memory, remembers, write_memory
from limbeck.numerics.retrieval import retrieved, unit

Make = Callable[..., Any]


def memory(own_share: float = 0.25, *, rows: int = 20, classes: int = 3) -> Memory:
    generator = torch.Generator().manual_seed(0)
    keys, logits = (torch.randn(rows, width, generator=generator) for width in (16, classes))
    return Memory(unit(keys), logits.softmax(dim=-1), Retrieval(neighbours=4, temperature=0.2, own_share=own_share))


def inputs_of(make_task: Make, padding: int = 0) -> dict[str, Tensor]:
    inputs: dict[str, Tensor] = make_task(6).batch(range(6))["student"]
    return {name: torch.nn.functional.pad(ids, (0, padding)) for name, ids in inputs.items()}


def test_answers_are_mixed(make_classifier: Make, make_task: Make) -> None:
    model, inputs = make_classifier().eval(), inputs_of(make_task)
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
        own, first = output.logits, output.hidden_states[-1][:, 0]
        assert answers(model, inputs).equal(own)
        model.retrieval_memory = memory()
        found = answers(model, inputs)
        padded = answers(model, inputs_of(make_task, padding=4))
        model.retrieval_memory = memory(own_share=1.0)
        alone = answers(model, inputs)
    looked_up, _, _ = retrieved(first, memory().keys_ND, memory().probs_NC, neighbours=4, temperature=0.2)
    assert torch.allclose(found.exp(), 0.25 * own.softmax(-1) + 0.75 * looked_up, atol=1e-6)
    assert torch.allclose(found, padded, atol=1e-5)
    assert torch.allclose(alone.exp(), own.softmax(-1), atol=1e-6)


def test_a_memory_is_read_as_it_was_written(make_classifier: Make, tmp_path: Path) -> None:
    assert not remembers(tmp_path)
    assert read_memory(tmp_path, make_classifier()) is None
    write_memory(memory(), tmp_path)
    assert remembers(tmp_path)
    found = read_memory(tmp_path, make_classifier())
    assert found is not None
    assert found.settings == memory().settings
    assert found.keys_ND.equal(memory().keys_ND)
    assert found.probs_NC.equal(memory().probs_NC)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("settings.json", b"{"),
        ("settings.json", b'{"neighbours": 0}'),
        ("settings.json", b'{"neighbors": 4}'),
        ("entries.safetensors", b"\0\0"),
        ("entries.safetensors", None),
    ],
)
def test_damage_is_reported(make_classifier: Make, tmp_path: Path, name: str, content: bytes | None) -> None:
    write_memory(memory(), tmp_path)
    path = tmp_path / "memory" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ModelError, match="memory"):
        read_memory(tmp_path, make_classifier())


@pytest.mark.parametrize(
    "entries",
    [
        {"keys": torch.zeros(3, 16)},
        {"keys": torch.zeros(3, 16), "probs": torch.zeros(2, 3)},
        {"keys": torch.zeros(3, 8), "probs": torch.zeros(3, 3)},
        {"keys": torch.zeros(3, 16), "probs": torch.zeros(3, 5)},
        {"keys": torch.full((3, 16), torch.nan), "probs": torch.zeros(3, 3)},
        {"keys": torch.zeros(0, 16), "probs": torch.zeros(0, 3)},
    ],
)
def test_entries_of_another_model_are_refused(
    make_classifier: Make, tmp_path: Path, entries: dict[str, Tensor]
) -> None:
    write_memory(memory(), tmp_path)
    save_file(entries, tmp_path / "memory" / "entries.safetensors")
    with pytest.raises(ModelError, match="damaged"):
        read_memory(tmp_path, make_classifier())
