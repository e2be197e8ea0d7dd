"""Whole runs of students that write: every recipe, every kind of row and student, and what a run refuses."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.evaluation.measured import find, section, value
from tests.tasks.generation.text_models import (
    CHATML,
    LLAMA,
    held_out_rows,
    make_model,
    make_tokenizer,
    save,
    text_sections,
    train_rows,
    trained,
    write_jsonl,
)

import limbeck
from limbeck.errors import ConfigError, DataError, LimbeckError, ModelError, NonFiniteLoss
from limbeck.models.load import load_language_model, weights_fingerprint
from limbeck.recipes.catalogue import recipes_for
from limbeck.results import Results
from limbeck.results.sections import Search, Writing
from limbeck.runs.config import load_run_file, run_config
from limbeck.runs.flow import run
from limbeck.tasks.generation.rows import read_texts
from limbeck.types import SilentProgress

SHORT = {"max_new_tokens": 5}
"""Runs here write texts of a few tokens."""
RECIPES: dict[str, dict[str, Any]] = {
    "fine_tune": {"name": "fine_tune"},
    "distilbert": {"name": "distilbert"},
    "tinybert": {"name": "tinybert", "intermediate_fraction": 0.5},
    "mobilebert": {"name": "mobilebert", "layers": 2, "transfer_fraction": 0.5},
    "minilm": {"name": "minilm"},
    "minilm_v2": {"name": "minilm_v2"},
    "kd": {"name": "kd"},
    "minima": {"name": "minima"},
    "homodistil": {"name": "homodistil"},
    "reverse_kl": {"name": "reverse_kl"},
    "jensen_shannon": {"name": "jensen_shannon"},
    "total_variation": {"name": "total_variation", "label_weight": 0.5},
    "adaptive_kl": {"name": "adaptive_kl"},
    "taid": {"name": "taid"},
    "seqkd": {"name": "seqkd", "beams": 2, **SHORT},
    "f_distill_kl": {"name": "f_distill", "variant": "kl", **SHORT},
    "f_distill_rkl": {"name": "f_distill", "variant": "rkl", **SHORT},
    "f_distill_js": {"name": "f_distill", "variant": "js", **SHORT},
    "f_distill_tvd": {"name": "f_distill", "variant": "tvd", **SHORT},
    "engine": {"name": "engine", **SHORT},
    "minillm": {"name": "minillm", "prompts": 16, "inner_epochs": 2, **SHORT},
    "gkd": {"name": "gkd", "on_policy_fraction": 1, **SHORT},
    "distillm": {"name": "distillm", "validations": 2, **SHORT},
}
LOWERS = {
    "fine_tune",
    "distilbert",
    "kd",
    "minima",
    "reverse_kl",
    "jensen_shannon",
    "total_variation",
    "adaptive_kl",
    "seqkd",
}
"""Recipes of one stage on fixed texts: their loss falls in a few steps. Others change stage, or texts with them."""
STAGES = {
    "f_distill_kl": [("pre_distillation", {"divergence", "labels"}), ("f_distill_kl", {"teacher"})],
    "f_distill_rkl": [("pre_distillation", {"divergence", "labels"}), ("f_distill_rkl", {"student"})],
    "f_distill_js": [("pre_distillation", {"divergence", "labels"}), ("f_distill_js", {"teacher", "student"})],
    "f_distill_tvd": [("pre_distillation", {"divergence", "labels"}), ("f_distill_tvd", {"teacher", "student"})],
    "engine": [("fine_tune", {"labels"}), ("engine", {"energy"})],
    "minillm": [("fine_tune", {"labels"}), ("minillm", {"single", "long"})],
    "gkd": [("fine_tune", {"labels"}), ("gkd", {"divergence"})],
    "distillm": [("fine_tune", {"labels"}), ("distillm", {"divergence"})],
    "kd": [("kd", {"divergence", "labels"})],
    "minima": [("minima", {"divergence", "labels"})],
    "homodistil": [("homodistil", {"labels", "soft_targets", "hidden_states", "attention"})],
    "tinybert": [("intermediate", {"hidden_states", "attention"}), ("prediction", {"soft_targets"})],
    "mobilebert": [
        ("layer_1", {"states", "means", "variances", "attention"}),
        ("layer_2", {"states", "means", "variances", "attention"}),
        ("distillation", {"soft_targets", "labels"}),
    ],
    "minilm": [("relations", {"attention", "values"}), ("kd", {"divergence", "labels"})],
    "minilm_v2": [("relations", {"queries", "keys", "values"}), ("kd", {"divergence", "labels"})],
}


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    """A run of 4 steps; tests change what they are about."""
    return text_sections(tmp_path)


def write_run_file(sections: dict[str, Any], folder: Path) -> Path:
    """Write a run file as people do: a line for each section."""
    path = folder / "run-file.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return path


def lines(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of the log."""
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "student" / "model.safetensors")


def same_weights(first: str | Path, second: str | Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def learnt(results: Results, metric: str = "nll", name: str = "distilled") -> bool:
    """Whether a student is better after training, by a metric of which less is better."""
    return value(results, name, metric) < value(results, "student_init", metric)


# ---- recipes ---------------------------------------------------------------------------------------------------


def test_every_recipe_is_run_here() -> None:
    assert {arguments["name"] for arguments in RECIPES.values()} == set(recipes_for("generation"))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_runs_from_a_short_run_file(
    name: str, sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    sections["recipe"] = RECIPES[name]
    if name == "distilbert":  # which compares states of one width
        sections["student"] = {"from_teacher": {"layers": "first", "keep": 1}}
    if name == "homodistil":  # which prunes its student
        sections["student"] = {"pruned": {"hidden": "half", "rows": 16}}
    if name == "mobilebert":  # the same, with the same number of layers
        sections["student"] = {"config": {**LLAMA, "hidden_size": 32, "num_hidden_layers": 2}}
    path = write_run_file(sections, tmp_path)
    assert len(path.read_text(encoding="utf-8").splitlines()) < 25
    results = run(load_run_file(path), progress=SilentProgress())
    assert results.run.recipe == RECIPES[name]["name"]
    assert results.run.paper

    logged = lines(sections["output"])
    assert len(logged) == 4
    assert all(math.isfinite(line["loss"]) for line in logged)
    stages = list(dict.fromkeys(line["stage"] for line in logged))
    for stage, terms in STAGES.get(name, []):
        found = {key for line in logged if line["stage"] == stage for key in line if key.startswith("term/")}
        assert found == {f"term/{term}" for term in terms}
    if name in STAGES:
        assert stages == [stage for stage, _ in STAGES[name]]
    if name in LOWERS:
        assert logged[-1]["loss"] < logged[0]["loss"]
    assert learnt(results)
    assert learnt(results, "kl")


@pytest.mark.slow
def test_python_and_a_run_file_give_the_same_student(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    path = write_run_file({**sections, "output": str(tmp_path / "file")}, tmp_path)
    run(load_run_file(path), progress=SilentProgress())
    results = limbeck.distill(**sections)
    assert same_weights(tmp_path / "file", sections["output"])
    # The run file that is kept has every value, and is one itself.
    kept = load_run_file(Path(sections["output"]) / "run.yaml", [f"output={tmp_path / 'again'}"])
    assert kept.recipe.arguments == {"loss_temperature": 2.0, "label_weight": 0.5}
    assert yaml.safe_load(results.run.resolved)["recipe"]["loss_temperature"] == 2.0


@pytest.mark.slow
def test_a_finished_run_repeats_nothing(sections: dict[str, Any], light: None) -> None:
    first = limbeck.distill(**sections)
    log = (Path(sections["output"]) / "log.jsonl").read_bytes()
    assert limbeck.distill(**sections) == first
    assert (Path(sections["output"]) / "log.jsonl").read_bytes() == log
    (Path(sections["output"]) / "results.json").write_text("{")
    again = limbeck.distill(**sections)
    run = again.run.model_copy(update={"created": first.run.created})
    assert again.model_copy(update={"run": run}) == first
    assert (Path(sections["output"]) / "results.damaged.json").read_text() == "{"


@pytest.mark.slow
def test_the_teacher_is_frozen(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch, light: None) -> None:
    """MiniLLM asks the teacher for tokens, for rewards and for distributions; the student began as its copy."""
    import limbeck.tasks.generation.task as task

    contexts = []
    whole = task.set_up
    monkeypatch.setattr(task, "set_up", lambda *words: contexts.append(whole(*words)) or contexts[-1])
    sections["recipe"] = RECIPES["minillm"]
    sections["student"] = {"from_teacher": {"layers": "first", "keep": 1}}
    limbeck.distill(**sections)
    (context,) = contexts
    assert weights_fingerprint(context.teacher) == weights_fingerprint(
        load_language_model(sections["teacher"]["model"])
    )
    assert not context.teacher.training
    assert all(parameter.grad is None for parameter in context.teacher.parameters())


@pytest.mark.slow
def test_a_baseline_is_trained_for_as_many_steps(sections: dict[str, Any], light: None) -> None:
    sections["baselines"] = ["fine_tune"]
    results = limbeck.distill(**sections)
    models = [system.name for system in results.systems if system.role != "constant"]
    assert set(models) == {"teacher", "student_init", "fine_tune", "distilled"}
    steps = {cost.system: cost.steps for cost in results.costs}
    assert steps == {"distilled": 4, "fine_tune": 4}
    assert learnt(results, name="fine_tune")


@pytest.mark.slow
def test_baselines_have_texts_and_signals_of_their_own(sections: dict[str, Any], light: None) -> None:
    """Each way of writing is a file, written once; the student that reads it is the one of a run of its own."""
    written = {"name": "seqkd", "decode": "sample", "max_new_tokens": 4}
    longer = {**written, "max_new_tokens": 5}
    results = limbeck.distill(**{**sections, "recipe": written, "baselines": [longer, "reverse_kl"], "seeds": [0, 1]})
    folder = Path(sections["output"])
    assert sorted(path.name == "teacher.jsonl" for path in (folder / "written").iterdir()) == [False, True]
    assert {cost.steps for cost in results.costs} == {4}
    assert len(results.costs) == 2 * 3
    for name, system in (("reverse_kl", "reverse_kl"), ("seqkd", "distilled")):
        alone = {**sections, "recipe": written if name == "seqkd" else name, "output": f"{folder}-{name}"}
        limbeck.distill(**alone)
        (whole,), (part,) = (f.glob(f"stages/{s}-01-*-seed0/model/model.safetensors")
                             for f, s in ((Path(alone["output"]), "distilled"), (folder, system)))  # fmt: skip
        assert whole.read_bytes() == part.read_bytes()


@pytest.mark.slow
def test_a_teacher_is_fine_tuned_first_where_asked(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    tokenizer = make_tokenizer()
    random = save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, tmp_path / "random")
    tuning = {"max_steps": 30, "batch_size": 16, "learning_rate": 2e-2}
    sections["teacher"] = {"model": random, "fine_tune": tuning}
    results = limbeck.distill(**sections)
    assert value(results, "teacher", "nll") < 3
    assert [cost.system for cost in results.costs] == ["teacher", "distilled"]


# ---- models and rows --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kd", "seqkd", "gkd"])
def test_an_encoder_and_a_decoder(name: str, tmp_path: Path, light: None) -> None:
    """T5 ties its embeddings, and its configuration does not say what the decoder starts with."""
    sections = text_sections(tmp_path, "t5", recipe=RECIPES[name])
    sections["training"]["max_steps"] = 6
    results = limbeck.distill(**sections)
    assert section(results, Writing).encoder_decoder
    assert learnt(results)
    exported = load_language_model(str(Path(sections["output"]) / "student"))
    assert exported.config.decoder_start_token_id == exported.generation_config.decoder_start_token_id == 0


@pytest.mark.slow
def test_minillm_refuses_an_encoder_and_a_decoder(tmp_path: Path, light: None) -> None:
    sections = text_sections(tmp_path, "t5", recipe={**RECIPES["minillm"], "fine_tune_fraction": 0})
    with pytest.raises(ConfigError, match="for causal models only"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_a_decoder_without_a_start_token(tmp_path: Path, light: None) -> None:
    sections = text_sections(tmp_path, "t5")
    for name in ("config.json", "generation_config.json"):  # either may say it
        path = Path(sections["teacher"]["model"]) / name
        config = json.loads(path.read_text(encoding="utf-8"))
        del config["decoder_start_token_id"]
        path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="has no decoder_start_token_id"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_tied_embeddings_are_trained_and_gone_on_with(sections: dict[str, Any], light: None) -> None:
    sections["student"] = {"config": {**LLAMA, "tie_word_embeddings": True}}
    results = limbeck.distill(**sections)
    assert learnt(results)


@pytest.mark.slow
def test_conversations_are_laid_out_by_the_template(tmp_path: Path, light: None) -> None:
    results = limbeck.distill(**text_sections(tmp_path, "chat"))
    assert section(results, Writing).task == "conversations"
    assert value(results, "teacher", "nll") < 1
    assert learnt(results)


@pytest.mark.slow
def test_conversations_without_a_template(tmp_path: Path, sections: dict[str, Any]) -> None:
    chats = text_sections(tmp_path, "chat", teacher=sections["teacher"])
    with pytest.raises(ModelError, match=r"task\.messages needs a chat template.*template: plain"):
        limbeck.distill(**chats)
    assert not (Path(chats["output"]) / "stages").exists()


@pytest.mark.slow
def test_plain_text(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    texts = [{"text": f"{row['question']} {row['answer']}"} for row in train_rows()]
    train = write_jsonl(tmp_path / "texts.jsonl", texts)
    sections.update(
        task={"kind": "generation", "text": "text"}, data={"train": train, "test": train}, recipe="reverse_kl",
        teacher={**sections["teacher"], "fine_tune": {"max_steps": 8, "batch_size": 16, "learning_rate": 5e-3}},
    )  # fmt: skip
    sections["data"]["test"] = write_jsonl(tmp_path / "held.jsonl", texts[:6])
    results = limbeck.distill(**sections)
    assert section(results, Writing).task == "plain text"
    assert section(results, Writing).decoding is None
    assert learnt(results)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["from_teacher", "folder", "layers of a folder"])
def test_students_of_other_origins(kind: str, sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    tokenizer = make_tokenizer()
    folder = save(make_model(LLAMA, rows=len(tokenizer), seed=5), tokenizer, tmp_path / "student")
    whole = sections["teacher"]["model"]
    sections["student"], said = {
        "from_teacher": ({"from_teacher": {"layers": "last", "keep": 1}}, "layers of the teacher"),
        "folder": ({"model": folder}, folder),
        "layers of a folder": ({"model": whole, "layers": "last", "keep": 1}, f"layers of {whole}"),
    }[kind]
    results = limbeck.distill(**sections)
    assert results.run.facts["Student"] == said
    # Layer norms stand for all weights: 2 of the layer, 1 at the end.
    assert sum("norm" in name for name in weights(sections["output"])) == 3


@pytest.mark.slow
def test_another_tokenizer_with_text_alone(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    tokenizer = make_tokenizer(size=300)
    other = save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, tmp_path / "other")
    sections.update(student={"model": other}, recipe=RECIPES["seqkd"])
    results = limbeck.distill(**sections)
    assert find(results, "distilled", "kl") is None
    logged = lines(sections["output"])
    assert logged[-1]["loss"] < logged[0]["loss"]
    assert any("different tokens" in warning for warning in results.warnings)
    # What the student reads is what the teacher wrote, in the student's own tokens.
    written = (Path(sections["output"]) / "written" / "teacher.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(written) == 1 + len(train_rows())


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", ["kd", "gkd", "minillm"])
def test_another_tokenizer_where_tokens_are_compared(
    name: str, sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    tokenizer = make_tokenizer(size=300)
    other = save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, tmp_path / "other")
    sections.update(student={"model": other}, recipe=RECIPES[name])
    with pytest.raises(ModelError, match=r"tokenizers of teacher .* differ.*What would work: seqkd"):
        limbeck.distill(**sections)
    assert not (Path(sections["output"]) / "stages").exists()
    assert not (Path(sections["output"]) / "predictions").exists()


@pytest.mark.slow
def test_padded_vocabularies_of_different_size(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    """What a model holds for ids that no token has changes nothing, in distributions, in writing and in figures."""
    tokenizer = make_tokenizer()
    sections["answers"] = {"rows": 12, "max_new_tokens": 4}
    found = []
    for name, extra in (("tight", 0), ("padded", 24)):
        teacher = load_language_model(text_sections(tmp_path)["teacher"]["model"])
        student = make_model(LLAMA, rows=len(tokenizer), seed=1)
        for model, rows in ((teacher, extra), (student, 2 * extra)):
            model.resize_token_embeddings(len(tokenizer) + rows, mean_resizing=False)
            with torch.no_grad():
                # Large in some direction: these would be the likeliest tokens.
                model.lm_head.weight[len(tokenizer) :] = 30 * torch.randn_like(model.lm_head.weight[len(tokenizer) :])
        models = {"teacher": {"model": save(teacher, tokenizer, tmp_path / f"{name}-teacher")}}
        models["student"] = {"model": save(student, tokenizer, tmp_path / f"{name}-student")}
        results = limbeck.distill(**{**sections, **models, "output": str(tmp_path / name)})
        found.append(results)
    tight, padded = (weights(tmp_path / name) for name in ("tight", "padded"))
    assert padded["lm_head.weight"].shape[0] == len(tokenizer) + 48
    for name, tensor in tight.items():
        torch.testing.assert_close(padded[name][: len(tensor)], tensor, atol=1e-5, rtol=1e-4)
    for system in ("teacher", "distilled"):
        assert value(found[0], system, "nll") == pytest.approx(value(found[1], system, "nll"), abs=1e-4)
        tight_file, padded_file = (
            tmp_path / name / "predictions" / f"{system}-seed0.json" for name in ("tight", "padded")
        )
        assert json.loads(tight_file.read_text())["texts"] == json.loads(padded_file.read_text())["texts"]


@pytest.mark.slow
def test_prompts_alone(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    prompts = write_jsonl(tmp_path / "prompts.jsonl", [{"question": row["question"]} for row in train_rows()])
    sections["data"]["train"] = prompts
    sections["recipe"] = {**RECIPES["gkd"], "on_policy_fraction": 1, "fine_tune_fraction": 0}
    sections["task"]["completion"] = "answer"
    sections["baselines"] = ["fine_tune"]
    results = limbeck.distill(**sections)
    assert results.system("fine_tune") is None
    assert learnt(results, "kl")
    with pytest.raises(DataError, match="no row has the field 'answer'"):
        limbeck.distill(**{**sections, "recipe": "kd", "output": str(tmp_path / "other")})


@pytest.mark.slow
def test_a_corpus_beside_the_task(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"text": f"{row['question']} again"} for row in held_out_rows()])
    sections["data"]["corpus"] = corpus
    sections["recipe"] = {**RECIPES["minillm"], "corpus_weight": 1.0, "fine_tune_fraction": 0}
    sections["training"]["micro_batch_size"] = 4
    limbeck.distill(**sections)
    losses = [line["term/corpus"] for line in lines(sections["output"])]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_nothing_is_written_past_what_a_model_can_read(
    sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-2 has a table of positions and fails behind its end; answers and texts may be longer than that."""
    monkeypatch.setattr("limbeck.report.page.write_report", lambda results, path: path.touch())
    sections["student"] = {
        "config": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 40}
    }
    sections["recipe"] = {"name": "gkd", "on_policy_fraction": 1, "max_new_tokens": 60}
    sections["answers"] = {"rows": 12, "max_new_tokens": 128}
    results = limbeck.distill(**sections)
    assert find(results, "distilled", "words") is not None


# ---- what a run refuses -----------------------------------------------------------------------------------------


def test_a_teacher_that_guesses_stops_the_run(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    tokenizer = make_tokenizer()
    sections["teacher"] = {"model": save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, tmp_path / "random")}
    with pytest.raises(ModelError, match=r"it has learnt nothing.*teacher\.fine_tune"):
        limbeck.distill(**sections)
    assert not (Path(sections["output"]) / "stages").exists()


@pytest.mark.slow
def test_a_teacher_that_is_worse_than_the_student_stops_the_run(
    sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    good = sections["teacher"]["model"]
    worse, tokenizer = load_language_model(good), make_tokenizer()
    with torch.no_grad():
        worse.lm_head.weight.mul_(0.3)
    sections["teacher"] = {"model": save(worse, tokenizer, tmp_path / "worse")}
    sections["student"] = {"model": good}
    with pytest.raises(ModelError, match=r"this teacher would make it worse\. Check the chat template"):
        limbeck.distill(**sections)
    assert not (Path(sections["output"]) / "stages").exists()


def test_a_teacher_of_broken_weights(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    broken = load_language_model(sections["teacher"]["model"])
    with torch.no_grad():
        broken.lm_head.weight[7] = float("nan")
    sections["teacher"] = {"model": save(broken, make_tokenizer(), tmp_path / "broken")}
    with pytest.raises(ModelError, match=r"the weights of .*broken are damaged: lm_head\.weight holds values"):
        limbeck.distill(**sections)


def test_a_teacher_whose_loss_is_not_a_number(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights may be finite and overflow on the user's rows."""
    monkeypatch.setattr(
        "limbeck.tasks.generation.task_run._losses", lambda *words: {"teacher": math.nan, "student_init": 5.0}
    )
    with pytest.raises(ModelError, match=r"the teacher's loss on the held-out completions is nan"):
        limbeck.distill(**sections)


@pytest.mark.slow
def test_logits_that_are_not_finite_name_the_term_and_keep_the_checkpoint(
    sections: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, light: None
) -> None:
    from limbeck.teachers.language_model import LanguageTeacher

    sections["training"].update(max_steps=6, checkpoints=3)
    limbeck.distill(**{**sections, "output": str(tmp_path / "whole")})
    calls = []
    whole = LanguageTeacher.signal

    def breaks(self: Any, batch: Any, needs: Any) -> Any:
        signal = whole(self, batch, needs)
        calls.append(1)
        if len(calls) > 4:
            signal["tokens"].hidden_SD.fill_(float("nan"))
        return signal

    with monkeypatch.context() as patch:
        patch.setattr(LanguageTeacher, "signal", breaks)
        with pytest.raises(NonFiniteLoss, match="the term 'divergence' is nan at optimiser step 5"):
            limbeck.distill(**sections)
    (stage,) = (Path(sections["output"]) / "stages").iterdir()
    assert (stage / "checkpoints" / "checkpoint-4" / "limbeck.json").exists()
    limbeck.distill(**sections)
    assert same_weights(sections["output"], tmp_path / "whole")


@pytest.mark.parametrize(
    ("task", "recipe", "message"),
    [
        (
            "generation",
            "pkd",
            "is for classification runs and .*, not for generation runs .*: fine_tune, kd, .*seqkd",
        ),
        ("generation", "limbeck.recipes.pkd:pkd", "is for classification runs and .*, not for generation runs"),
        ("generation", "ml_ipd", "recipe 'ml_ipd' is for cross-lingual runs"),
        ("classification", "gkd", "recipe 'gkd' is for generation runs"),
    ],
    ids=["of_classifiers", "of_classifiers_by_import", "cross_lingual", "of_texts"],
)
def test_a_recipe_of_another_kind(task: str, recipe: str, message: str, sections: dict[str, Any]) -> None:
    if task == "classification":
        del sections["task"], sections["answers"]
    with pytest.raises(ConfigError, match=message):
        limbeck.distill(**{**sections, "recipe": recipe})


def test_an_empty_completion_names_file_and_line(sections: dict[str, Any], tmp_path: Path) -> None:
    rows = train_rows()
    rows[2]["answer"] = "  "
    sections["data"]["train"] = write_jsonl(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match=r"rows\.jsonl, line 3, field 'answer': white space only"):
        limbeck.distill(**sections)


def test_completions_that_are_too_long_are_refused_or_counted(
    sections: dict[str, Any], tmp_path: Path, light: None
) -> None:
    rows = train_rows()
    rows[4]["answer"] = "a very long answer " * 30
    sections["data"]["train"] = write_jsonl(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError, match=r"(?s)1 of 48 rows cannot be encoded.*rows\.jsonl:5.*on_bad_row: quarantine"):
        limbeck.distill(**sections)
    shutil.rmtree(sections["output"])
    sections["data"]["on_bad_row"] = "quarantine"
    results = limbeck.distill(**sections)
    kept = Path(sections["output"]) / "quarantine-too-long.jsonl"
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 1
    assert results.run.rows["left_out"] == 1


def test_a_layer_that_is_not_there(sections: dict[str, Any]) -> None:
    sections["student"] = {"from_teacher": {"layers": [1, 7]}}
    with pytest.raises(LimbeckError, match="out of range: the teacher has layers 1 to 2"):
        limbeck.distill(**sections)


# ---- equal budgets ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kd", "seqkd"])
def test_micro_batches_change_nothing(name: str, sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    """Rows have different numbers of tokens. Plain gradient descent, since Adam follows rounding errors."""
    sections["recipe"] = RECIPES[name]
    sections["training"].update(optim="sgd", learning_rate=0.3)
    for micro in (8, 1):
        sections["training"]["micro_batch_size"] = micro
        limbeck.distill(**{**sections, "output": str(tmp_path / f"of-{micro}")})
    whole, split = weights(tmp_path / "of-8"), weights(tmp_path / "of-1")
    moved = make_model(LLAMA, rows=len(make_tokenizer())).state_dict()
    for name_, tensor in whole.items():
        torch.testing.assert_close(split[name_], tensor, atol=2e-6, rtol=1e-5)
    assert any(not torch.allclose(whole[n], moved[n], atol=1e-3) for n in whole)


@pytest.mark.slow
def test_two_ranks_train_the_student_of_one_process(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    """From the command to the weights, on rows with different numbers of tokens."""
    sections["recipe"] = {"name": "jensen_shannon", "label_weight": 0.3}
    sections["training"].update(optim="sgd", learning_rate=0.3, max_steps=3)
    limbeck.distill(**{**sections, "output": str(tmp_path / "1")})
    words = ["limbeck", "distill", str(write_run_file(sections, tmp_path)), "--set", f"output={tmp_path / '2'}"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-6, rtol=1e-5)
    assert [line["loss"] for line in lines(tmp_path / "1")] == pytest.approx(
        [line["loss"] for line in lines(tmp_path / "2")], abs=1e-5
    )


# ---- what a run leaves ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_results_and_report_say_what_was_measured(sections: dict[str, Any], tmp_path: Path) -> None:
    """Every figure for real, and the losses again with transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    sections.update(answers={"rows": 8, "max_new_tokens": 6}, baselines=["fine_tune"])
    results = limbeck.distill(**sections)
    folder = Path(sections["output"])
    assert Results.model_validate_json((folder / "results.json").read_text(encoding="utf-8")) == results
    assert (results.run.rows["train"], results.run.rows["test"], results.run.recipe) == (48, 12, "kd")
    assert section(results, Writing).decoding == "the most likely token, at most 6 tokens"
    assert any("8 of 12 held-out prompts were answered" in warning for warning in results.warnings)

    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{value(results, 'distilled', 'perplexity'):.1f}"[:3] in page
    assert "1503.02531" in page
    for name in ("README.md", "task.json", "model.safetensors"):
        assert (folder / "student" / name).exists()
    task = json.loads((folder / "student" / "task.json").read_text(encoding="utf-8"))
    assert (task["kind"], task["prompt"], task["max_length"]) == ("generation", "question", 128)

    for system, where in (("distilled", folder / "student"), ("teacher", sections["teacher"]["model"])):
        model, tokenizer = AutoModelForCausalLM.from_pretrained(where), AutoTokenizer.from_pretrained(where)
        total, tokens = 0.0, 0
        for row in held_out_rows():
            prompt = tokenizer(row["question"] + "\n\n")["input_ids"]
            answer = [*tokenizer(row["answer"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            with torch.no_grad():
                log_probs = model(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
            total -= sum(float(log_probs[len(prompt) - 1 + i, token]) for i, token in enumerate(answer))
            tokens += len(answer)
        assert value(results, system, "nll") == pytest.approx(total / tokens, abs=1e-4)
        assert section(results, Writing).test_tokens == tokens
    assert value(results, "teacher", "exact_match") > value(results, "student_init", "exact_match")
    assert find(results, "teacher", "words") is not None


def test_the_trained_kinds_know_the_task() -> None:
    """What the tests above rest on: a teacher worth distilling, whose tokenizer has a template where it should."""
    assert trained("chat")[1].chat_template == CHATML
    assert trained("llama")[1].chat_template is None


# ---- a search ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("answered", "metric"), [(0, "nll"), (8, "rouge_l")])
def test_each_system_has_the_best_of_two_rates(sections: dict[str, Any], answered: int, metric: str) -> None:
    """Of a loss less is better; rows that were kept back are in no batch."""
    sections |= {"search": {"learning_rate": [1e-9, 1e-2]}, "baselines": ["fine_tune"]}
    sections["answers"] = {"rows": answered, "max_new_tokens": 6}
    sections["training"]["max_steps"] = 4 if answered else 12
    results = limbeck.distill(**sections)
    found = section(results, Search)
    assert (found.metric, found.rows) == (metric, answered or 20)
    assert [one.settings["learning_rate"] for one in found.trials] == [1e-9, 1e-2, 1e-9, 1e-2]
    if not answered:
        assert [one.chosen for one in found.trials] == [False, True, False, True]
        assert learnt(results)
        assert learnt(results, name="fine_tune")
    assert results.run.rows["train"] == len(train_rows()) - 20
    assert {cost.stage.partition("-lr")[0] for cost in results.costs} == {"kd", "fine_tune"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["kd", "gkd"])
def test_stages_end_with_their_best_weights(sections: dict[str, Any], recipe: str) -> None:
    """At a rate that changes nothing the start is best, as the first of equals; at a good one something later is."""
    sections |= {"recipe": RECIPES[recipe], "baselines": ["fine_tune"], "answers": {"rows": 0}}
    sections["training"] |= {"max_steps": 12, "learning_rate": 1e-20}
    sections["training"]["early_stopping"] = {"eval_steps": 2, "early_stopping_patience": 1}
    still = limbeck.distill(**sections)
    assert {cost.steps for cost in still.costs if cost.system != "teacher"} == {2}
    assert value(still, "distilled", "nll") == pytest.approx(value(still, "student_init", "nll"), abs=1e-6)
    sections["training"]["learning_rate"] = 1e-2
    results = limbeck.distill(**{**sections, "output": sections["output"] + "-2"})
    assert results.run.rows["train"] == len(train_rows()) - 20
    (judged,) = [c for c in results.curves if (c.system, c.series) == ("fine_tune", "dev/loss")]
    assert min(judged.values) < judged.values[0]
    assert learnt(results, name="fine_tune")


def test_development_rows_of_ones_own(sections: dict[str, Any]) -> None:
    sections |= {"search": {"learning_rate": [1e-9, 1e-2]}}
    sections["data"]["dev"] = sections["data"]["test"]
    rows = read_texts(run_config(sections))  # type: ignore[arg-type]
    assert rows.dev is not None
    assert (len(rows.train), len(rows.dev)) == (len(train_rows()), len(rows.test))
    assert rows.fingerprints.keys() == {"train", "test", "dev"}
    with pytest.raises(ConfigError, match=r"data\.dev: development rows are for search and training\.early_stopping"):
        run_config({**sections, "search": None})
    judged = {**sections, "search": None, "training": {"early_stopping": {}}}
    assert read_texts(run_config(judged)).dev is not None  # type: ignore[arg-type]
    few = Path(sections["data"]["train"])
    few.write_text("".join(few.read_text(encoding="utf-8").splitlines(keepends=True)[:38]), encoding="utf-8")
    del sections["data"]["dev"]
    with pytest.raises(DataError, match=r"search keeps 20 labelled training rows back .* there are 38"):
        read_texts(run_config(sections))  # type: ignore[arg-type]
