"""Students of copied layers, bit for bit, and students from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from tests.tasks.masked_lm.masked_models import make_model

from limbeck.errors import ConfigError, ModelError
from limbeck.models.layers import depth, layer_list
from limbeck.numerics.layer_maps import choose_layers
from limbeck.students.initialise import language_model_from_config, student_from_config, student_from_layers

BOTH = pytest.mark.parametrize("kind", ["bert", "distilbert"])
Make = Callable[..., Any]
BERT = {
    "model_type": "bert",
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def same(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.fast_cases(4)
@BOTH
@pytest.mark.parametrize("layers", [(1, 3, 6), (2,), (1, 2, 3, 4, 5, 6), (5, 6)])
def test_every_mapped_layer_and_all_else_is_copied_bit_for_bit(
    make_classifier: Make, kind: str, layers: tuple[int, ...]
) -> None:
    teacher = make_classifier(kind, layers=6)
    student = student_from_layers(teacher, layers)
    assert type(student) is type(teacher)
    assert depth(student) == len(layers)
    prefix, of_student = layer_list(student)
    of_teacher = layer_list(teacher)[1]
    for place, layer in enumerate(layers):
        assert same(of_student[place].state_dict(), of_teacher[layer - 1].state_dict())
    others = [
        {name: x for name, x in model.state_dict().items() if not name.startswith(prefix)}
        for model in (teacher, student)
    ]
    assert any("embeddings" in name for name in others[0])
    assert any("classifier" in name for name in others[0])
    assert same(*others)


def test_the_layers_of_a_random_teacher_differ_so_that_a_wrong_map_would_show(make_classifier: Make) -> None:
    layers = layer_list(make_classifier(layers=6))[1]
    assert not any(same(layers[0].state_dict(), layer.state_dict()) for layer in list(layers)[1:])


def test_the_students_forward_pass_is_the_teachers_with_the_other_layers_skipped(
    make_classifier: Make, make_task: Make
) -> None:
    teacher = make_classifier(layers=6).eval()
    student = student_from_layers(teacher, (1, 4, 6)).eval()
    row = make_task().batch([2])["student"]  # one row, so no padding has to be masked
    with torch.no_grad():
        states = teacher.bert.embeddings(row["input_ids"], token_type_ids=row["token_type_ids"])
        for layer in (1, 4, 6):
            output = teacher.bert.encoder.layer[layer - 1](states)
            states = output[0] if isinstance(output, tuple) else output
        expected = teacher.classifier(teacher.bert.pooler(states))
        torch.testing.assert_close(student(**row).logits, expected)
        assert not torch.allclose(student(**row).logits, teacher(**row).logits)


def test_keeping_every_layer_is_the_teacher_itself(make_classifier: Make, make_task: Make) -> None:
    teacher = make_classifier(layers=3).eval()
    student = student_from_layers(teacher, (1, 2, 3)).eval()
    batch = make_task().batch(range(4))["student"]
    assert torch.equal(student(**batch).logits, teacher(**batch).logits)


def test_the_student_shares_no_memory_with_its_teacher_and_can_be_trained(make_classifier: Make) -> None:
    teacher = make_classifier(layers=3).eval().requires_grad_(False)
    before = {name: x.clone() for name, x in teacher.state_dict().items()}
    student = student_from_layers(teacher, (1, 3))
    assert all(p.requires_grad for p in student.parameters())
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 1
    assert same(teacher.state_dict(), before)
    assert depth(teacher) == 3


def test_labels_and_other_settings_are_the_teachers(make_classifier: Make) -> None:
    teacher = make_classifier(layers=3)
    teacher.config.id2label = {0: "a", 1: "b", 2: "c"}
    teacher.config.label2id = {"a": 0, "b": 1, "c": 2}
    student = student_from_layers(teacher, (1, 3))
    ours, theirs = student.config.to_dict(), teacher.config.to_dict()
    assert ours.pop("num_hidden_layers") == 2
    assert theirs.pop("num_hidden_layers") == 3
    assert ours == theirs


def test_a_half_precision_teacher_makes_a_float32_student(make_classifier: Make) -> None:
    teacher = make_classifier(layers=2).bfloat16()
    student = student_from_layers(teacher, (2,))
    assert {p.dtype for p in student.parameters()} == {torch.float32}
    assert torch.equal(student.classifier.weight, teacher.classifier.weight.float())


def test_a_teacher_that_shares_layers_is_refused(make_classifier: Make) -> None:
    with pytest.raises(ModelError, match="cannot find the 2 layers of AlbertForSequenceClassification"):
        student_from_layers(make_classifier("albert"), (1,))


def test_a_student_from_a_configuration_has_its_depth_and_the_tasks_labels() -> None:
    student = student_from_config(BERT, ["a", "b"])
    assert depth(student) == 3
    assert student.config.id2label == {0: "a", 1: "b"}
    assert student.config.label2id == {"a": 0, "b": 1}
    assert student.classifier.out_features == 2


def test_the_same_seed_gives_the_same_random_student() -> None:
    students = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        students.append(student_from_config(BERT, ["a", "b"]).state_dict())
    assert same(students[0], students[1])
    assert not same(students[0], students[2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_type": None}, "needs model_type"),
        ({"model_type": "brt"}, "does not give a classifier.*brt"),
        ({"model_type": "vit"}, "vit has no such field"),
        ({"hidden_size": 15}, "does not give a classifier.*15"),
        ({"hidden_act": "nope"}, "does not give a classifier.*nope"),
        ({"num_labels": 3}, "bert has no such field: 'num_labels'"),
        ({"num_hidden_layers": "3"}, "does not give a classifier"),
        ({"num_hidden_layers": 0}, "num_hidden_layers: 0 is no model: give it one layer or more"),
        (
            {
                "model_type": "distilbert",
                "hidden_size": None,
                "intermediate_size": None,
                "num_hidden_layers": None,
                "num_attention_heads": None,
                "n_layers": 0,
            },
            "n_layers: 0 is no model",
        ),
        ({"vocab_size": -1}, "does not give a classifier"),
        ({"num_hiden_layers": 2}, "num_hiden_layers"),
    ],
)
def test_refusals(changed: dict[str, Any], message: str) -> None:
    fields = {name: value for name, value in (BERT | changed).items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        student_from_config(fields, ["a", "b"])


def bert_base(**changes: Any) -> Any:
    """BERT-base with its masked-language head."""
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(**changes))


def parameters(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_distilbert_has_as_many_parameters_as_published() -> None:
    """66,985,530 with the masked-language head, 66,362,880 without; a copy of BERT's layers also has token types."""
    from types import SimpleNamespace

    tokenizer: Any = SimpleNamespace(bos_token_id=None, eos_token_id=None, pad_token_id=0)
    with torch.device("meta"):
        made = language_model_from_config({"model_type": "distilbert"}, tokenizer=tokenizer, rows=30522, masked=True)
        student = student_from_layers(bert_base(), [1, 3, 5, 8, 10, 12])
    assert type(made).__name__ == "DistilBertForMaskedLM"
    assert (parameters(made), parameters(made.base_model)) == (66_985_530, 66_362_880)
    assert (depth(student), parameters(student)) == (6, 66_985_530 + 2 * 768)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "mpnet"])
def test_a_masked_language_models_layers_and_head_are_copied_bit_for_bit(kind: str) -> None:
    """Counted from 0, DistilBERT's layers are 0, 2, 4, 7, 9 and 11 of BERT's."""
    names = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
    sizes = {"hidden_size": 8, "num_hidden_layers": 12, "num_attention_heads": 2}
    sizes = {names[name]: value for name, value in sizes.items()} if kind == "distilbert" else sizes
    teacher = make_model(model_type=kind, **sizes)
    wanted = choose_layers([1, 3, 5, 8, 10, 12], teacher_layers=12, keep=None)
    student = student_from_layers(teacher, wanted)
    prefix = layer_list(teacher)[0] + "."
    for number, of_teacher in enumerate([0, 2, 4, 7, 9, 11]):
        assert same(layer_list(student)[1][number].state_dict(), layer_list(teacher)[1][of_teacher].state_dict())
    rest = [{n: x for n, x in m.state_dict().items() if not n.startswith(prefix)} for m in (student, teacher)]
    assert same(*rest)
    assert torch.equal(student.get_output_embeddings().weight, teacher.get_output_embeddings().weight)
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight  # tied, as before
