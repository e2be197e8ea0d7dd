"""What a configuration says of single layers goes along with them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from limbeck.students.layer_settings import cut_settings


@pytest.mark.parametrize(
    ("settings", "layers", "expected"),
    [
        ({"layer_types": list("abcdef")}, [2, 4, 6], {"layer_types": list("bdf")}),
        ({"layer_types": list("abcdef")}, [1, 2, 3], {"layer_types": list("abc")}),
        ({"no_rope_layers": [1, 1, 1, 0, 1, 1]}, [3, 4], {"no_rope_layers": [1, 0]}),
        # more flags than layers
        ({"no_rope_layers": [1, 1, 1, 0, 1, 1, 1, 0]}, [3, 4], {"no_rope_layers": [1, 0]}),
        ({"attention_window": (4, 8, 4, 8, 16, 32)}, [2, 5], {"attention_window": (8, 16)}),
        ({"layers_pattern": "MM*MM*"}, [2, 3], {"layers_pattern": "M*"}),
        ({"hidden_act": "gelu", "activations": "abcdef"}, [2, 3], {"hidden_act": "gelu", "activations": "abcdef"}),
        ({"mlp_only_layers": [0, 2, 3]}, [2, 3, 4], {"mlp_only_layers": [1, 2]}),
        ({"mlp_only_layers": []}, [2, 3], {"mlp_only_layers": []}),
        # numbers of all layers
        ({"moe_layers": [0, 1, 2, 3, 4, 5]}, [2, 3], {"moe_layers": [0, 1]}),
        (
            {"attn_layer_indices": [1, 4], "full_attn_idxs": (0,)},
            [2, 6],
            {"attn_layer_indices": [0], "full_attn_idxs": ()},
        ),
        ({"first_k_dense_replace": 3}, [1, 3, 4], {"first_k_dense_replace": 2}),
        (
            {"first_k_dense_replace": 0, "max_window_layers": 28},
            [5, 6],
            {"first_k_dense_replace": 0, "max_window_layers": 2},
        ),
        (
            {"decoder_sparse_step": 3, "mlp_only_layers": [2]},
            [2, 3, 6],
            {"decoder_sparse_step": 1, "mlp_only_layers": [0, 1]},
        ),
        (
            {"decoder_sparse_step": 2, "mlp_only_layers": None},
            [2, 3],
            {"decoder_sparse_step": 1, "mlp_only_layers": [1]},
        ),
        (
            {"attention_layers": list("glglgl"), "attention_types": [[["g", "l"], 3]]},
            [2, 3],
            {
                "attention_layers": ["l", "g"],
                "attention_types": [[["l"], 1], [["g"], 1]],
            },
        ),
        (
            {"eos_token_id": [1, 2, 3, 4, 5, 6], "architectures": ["A"] * 6},
            [2],
            {
                "eos_token_id": [1, 2, 3, 4, 5, 6],
                "architectures": ["A"] * 6,
            },
        ),
        (
            {"widths": [8, 8], "vocab_size": 6, "rope": {"a": 1}},
            [2],
            {"widths": [8, 8], "vocab_size": 6, "rope": {"a": 1}},
        ),
    ],
)
def test_lists_are_cut_and_rules_rewritten(
    settings: dict[str, Any], layers: list[int], expected: dict[str, Any]
) -> None:
    config = SimpleNamespace(num_hidden_layers=6, **settings)
    cut_settings(config, layers)
    assert vars(config) == {"num_hidden_layers": len(layers), **expected}


def test_flags_of_two_layers_are_no_numbers_of_layers() -> None:
    config = SimpleNamespace(num_hidden_layers=2, no_rope_layers=[0, 1])
    cut_settings(config, [2])
    assert config.no_rope_layers == [1]
