"""ModernBERT's first layer has no norm before attention, all others have one."""

import copy

import torch
import transformers as hf

from limbeck.students.initialise import student_from_layers

torch.manual_seed(0)
shape = {
    "vocab_size": 120,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}
teacher = hf.ModernBertForSequenceClassification(
    hf.ModernBertConfig(**shape, num_hidden_layers=6, num_labels=3, local_attention=8, cls_token_id=1, sep_token_id=2)
)
with torch.no_grad():
    for name, weight in teacher.named_parameters():
        if "norm" in name:
            weight.add_(torch.rand_like(weight))  # as after training
kept = [2, 4, 6]
student = student_from_layers(teacher.eval(), kept).eval()
# What student: {from_teacher: ...} does. Right is the teacher itself without the other layers.
right = copy.deepcopy(teacher)
right.model.layers = torch.nn.ModuleList([right.model.layers[layer - 1] for layer in kept])
for module in right.modules():
    if hasattr(module, "config"):
        module.config.num_hidden_layers = len(kept)
        if isinstance(getattr(module.config, "layer_types", None), list) and len(module.config.layer_types) != len(
            kept
        ):
            module.config.layer_types = [module.config.layer_types[layer - 1] for layer in kept]
ids = torch.randint(5, 119, (2, 40))
options = {"use_cache": False} if hasattr(teacher, "lm_head") else {}
with torch.no_grad():
    one, other = (m(input_ids=ids, attention_mask=torch.ones_like(ids), **options).logits for m in (right, student))
print("largest difference", (one - other).abs().max().item(), "of", one.abs().max().item())
