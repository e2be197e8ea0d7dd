"""A mixture of experts whose first layers are dense."""

import transformers as hf

from limbeck.students.initialise import student_from_layers

teacher = hf.Qwen3MoeForCausalLM(
    hf.Qwen3MoeConfig(
        vocab_size=120,
        hidden_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=64,
        num_hidden_layers=6,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        mlp_only_layers=[0, 2],
    )
)
student_from_layers(teacher, [2, 4, 6])
