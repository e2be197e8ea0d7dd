"""The whole of ANON on made-up articles: specification of ANON, section 2.13, "end-to-end check"."""

from __future__ import annotations

import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.evaluation.measured import find, section, value

import limbeck
from limbeck.errors import ConfigError, LimbeckError, TeacherError
from limbeck.models.load import load_classifier, load_language_model, load_tokenizer
from limbeck.report.page import render_report
from limbeck.results import Results
from limbeck.results.sections import TeacherLabels
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.evaluate import evaluate
from limbeck.tasks.classification.predict import Predictor
from limbeck.types import SilentProgress

LABELS = ("safe", "caution", "risk")
CUES = {
    "safe": ("calm", "ruhig", "calme"),
    "caution": ("watch", "achtung", "prudence"),
    "risk": ("collapse", "einsturz", "faillite"),
}
"""One word of the text decides, in three languages."""
FILLERS = tuple(f"{consonant}{vowel}" for consonant in "bdfg" for vowel in "aei")
ROWS, TEST_ROWS = 320, 150


@pytest.fixture(scope="module")
def causal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's shape with 2 layers and random weights, and a tokenizer of the words below."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("anon") / "causal"
    words = ["<end>", "<unk>", "Classify", "the", "text", "into", "one", "of", "these", "categories", "and"]
    words += [":", "'", "',", ",", ".", "'.", "Input", "Output", *LABELS]
    words += [*(word for cues in CUES.values() for word in cues), *FILLERS]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", unk_token="<unk>")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(words), n_positions=64, n_embd=64, n_layer=2, n_head=2, initializer_range=0.1,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def articles(rows: int, seed: int, *, gold: bool) -> list[dict[str, Any]]:
    """Articles of 4 words. The teacher is right as often as it says: in 99 % or in 81 % of cases, 90 % in all."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(rows):
        label = LABELS[rng.integers(3)]
        words = [*rng.choice(FILLERS, 3), rng.choice(CUES[label])]
        sure = float(rng.choice([0.99, 0.81]))
        others = [other for other in LABELS if other != label]
        said = label if rng.random() < sure else str(rng.choice(others))
        row = {"text": " ".join(rng.permutation(words)), "said": said, "sure": sure}
        made.append(row | {"label": label} if gold else row)
    return made


@pytest.fixture(scope="module")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("articles")
    files = {}
    for split, rows in (("train", articles(ROWS, 0, gold=False)), ("test", articles(TEST_ROWS, 1, gold=True))):
        files[split] = str(folder / f"{split}.jsonl")
        Path(files[split]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return files


@pytest.fixture
def run(causal_folder: Path, made_data: dict[str, str], tmp_path: Path, light: None) -> Any:
    adapter = {"kind": "lora", "rank": 4, "dropout": 0.0, "targets": "all_linear"}
    return {
        "task": {"labels": list(LABELS)},
        "data": dict(made_data),
        "teacher": {"labels_from": "said", "confidence": "sure"},
        "student": {"model": str(causal_folder), "adapter": adapter},
        "recipe": {"name": "anon"},
        "training": {
            "max_steps": 120,
            "batch_size": 32,
            "learning_rate": 2e-2,
            "checkpoints": 1,
            "log_every": 120,
            "fit_head": False,
        },
        "output": str(tmp_path / "run"),
    }


def accuracies(results: Any) -> dict[str, list[float]]:
    assert isinstance(results, Results)
    found = {system.name: find(results, system.name, "accuracy") for system in results.systems}
    return {name: list(figure.seeds.values()) for name, figure in found.items() if figure is not None}


@pytest.mark.slow
def test_a_student_without_gold_labels_beats_the_noisy_teacher_it_learnt_from(
    run: dict[str, Any], causal_folder: Path, tmp_path: Path
) -> None:
    found = {}
    for labels in ("soft", "hard"):
        recipe = {"name": "anon", "labels": labels}
        results = limbeck.distill(**run | {"recipe": recipe, "seeds": [0, 1, 2], "output": str(tmp_path / labels)})
        found[labels] = accuracies(results)
    teacher = found["soft"]["teacher"][0]
    assert teacher == pytest.approx(0.9, abs=0.04)
    assert min(found["soft"]["distilled"]) > max(teacher, 0.9)
    assert np.mean(found["soft"]["distilled"]) >= np.mean(found["hard"]["distilled"])
    assert max(found["soft"]["student_init"]) < 0.6

    # What LoRA does not touch is bit for bit the base's.
    base = load_language_model(str(causal_folder)).state_dict()
    student = load_classifier(str(tmp_path / "soft" / "student")).state_dict()
    for name in ("transformer.wte.weight", "transformer.h.0.ln_1.weight"):
        assert torch.equal(base[name], student[name])
    assert not torch.equal(base["transformer.h.0.attn.c_attn.weight"], student["transformer.h.0.attn.c_attn.weight"])


@pytest.mark.slow
def test_a_student_that_answers_in_words(run: dict[str, Any], tmp_path: Path) -> None:
    """The verbaliser head, through training, export, prediction and evaluation."""
    run["student"] |= {"head": "verbaliser", "layers": [2]}
    run["training"] |= {"max_steps": 4, "batch_size": 4}
    rows = [json.loads(line) for line in Path(run["data"]["test"]).read_text(encoding="utf-8").splitlines()][:20]
    run["data"]["test"] = str(tmp_path / "few.jsonl")
    Path(run["data"]["test"]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    results = limbeck.distill(**run)
    student = str(tmp_path / "run" / "student")
    saved = np.load(tmp_path / "run" / "predictions" / "distilled-seed0.npy")
    before = np.load(tmp_path / "run" / "predictions" / "student_init-seed0.npy")
    assert not np.allclose(saved, before)
    answers = Predictor(student).predict([row["text"] for row in rows])
    assert [answer["label"] for answer in answers] == [LABELS[i] for i in saved.argmax(-1)]
    assert load_classifier(student).config.num_hidden_layers == 1
    again = evaluate(student, run["data"]["test"], against=None, fields=None, progress=SilentProgress())
    assert value(again, "distilled", "accuracy") == pytest.approx(accuracies(results)["distilled"][0])


def few(run: dict[str, Any], folder: Path) -> None:
    """Cut both files to a few rows without the teacher's labels."""
    for split in ("train", "test"):
        rows = [json.loads(line) for line in Path(run["data"][split]).read_text(encoding="utf-8").splitlines()][:20]
        kept = [{name: row[name] for name in ("text", "label") if name in row} for row in rows]
        run["data"][split] = str(folder / f"few-{split}.jsonl")
        Path(run["data"][split]).write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    run["training"] |= {"max_steps": 2, "batch_size": 4}


@pytest.mark.slow
def test_a_causal_model_with_a_prompt_teaches(run: dict[str, Any], causal_folder: Path, tmp_path: Path) -> None:
    few(run, tmp_path)
    run["teacher"] = {
        "model": str(causal_folder),
        "prompt": {"instruction": "Classify the text into one of these categories: {{ labels }}.", "format": "none"},
        "calibration": ["contextual"],
        "pilot": 0,  # its weights are random
    }
    results = limbeck.distill(**run)
    assert isinstance(results, Results)
    labels = results.section(TeacherLabels)
    assert labels is not None
    assert (labels.route, labels.calibration, labels.train_rows) == ("local", ["contextual"], 20)
    assert {"teacher", "distilled"} <= {system.name for system in results.systems}
    assert "a causal model&#39;s scores of the labels, calibrated (contextual)" in render_report(results)
    assert limbeck.distill(**run) == results  # with the labels that were kept


class _Server(BaseHTTPRequestHandler):
    """A chat API that knows the cue words, and counts the calls."""

    calls = 0

    def do_POST(self) -> None:
        type(self).calls += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"].rsplit("Input:", 1)[-1]
        said = next((label for label, cues in CUES.items() if any(cue in asked.split() for cue in cues)), "safe")
        if "Answer in two lines" in body["messages"][0]["content"]:
            said = f"{said}\nReason: {REASON.format(said)}"
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        if body.get("logprobs"):
            lines = "\n".join(message["content"] for message in body["messages"]).splitlines()
            letters = {letter: next(line[3:] for line in lines if line.startswith(f"{letter}. ")) for letter in "ABC"}
            said, choice["logprobs"] = self.letter(letters, said)
        choice["message"] = {"role": "assistant", "content": said}
        usage = {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21}
        answer = json.dumps({"model": body["model"], "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def letter(self, letters: dict[str, str], right: str) -> tuple[str, dict[str, Any]]:
        """Weigh the right label's letter 7, the others and a word 1 each, and A twice what it would be."""
        shares = {letter: 0.7 if label == right else 0.1 for letter, label in letters.items()} | {"The": 0.1}
        shares["A"] *= 2
        top = [{"token": token, "logprob": math.log(share / sum(shares.values()))} for token, share in shares.items()]
        best = max(top, key=lambda one: one["logprob"])
        return best["token"], {"content": [best | {"top_logprobs": top}]}

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Any:
    _Server.calls = 0
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.mark.slow
def test_an_api_with_a_prompt_teaches_and_no_answer_is_paid_for_twice(
    run: dict[str, Any], server: str, tmp_path: Path
) -> None:
    few(run, tmp_path)
    run["teacher"] = {"api": {"base_url": server, "model": "large"}, "prompt": {}, "samples": 2}
    run["teacher"]["journal"] = str(tmp_path / "journal.sqlite")
    results = limbeck.distill(**run)
    assert isinstance(results, Results)
    assert section(results, TeacherLabels).route == "samples"
    assert accuracies(results)["teacher"] == [1.0]
    asked = _Server.calls
    assert 0 < asked <= 2 * 40 + 4, "and 4 calls that try whether it samples at all: its answers never differ"
    limbeck.distill(**run | {"output": str(tmp_path / "again")})
    assert _Server.calls == asked


@pytest.mark.slow
def test_an_api_with_log_probabilities_teaches(run: dict[str, Any], server: str, tmp_path: Path) -> None:
    """Letters in every cyclic order, so that a liking for one of them does not tell the labels apart."""
    from limbeck.teachers.labels.label_probs import LabelProbs

    few(run, tmp_path)
    api = {"base_url": server, "model": "large", "log_probs": 5}
    run["teacher"] = {"api": api, "prompt": {}, "journal": str(tmp_path / "journal.sqlite")}
    results = limbeck.distill(**run)
    assert isinstance(results, Results)
    labels = results.section(TeacherLabels)
    assert labels is not None
    assert (labels.route, labels.train_rows, labels.flags) == ("log_probs", 20, {})
    assert accuracies(results)["teacher"] == [1.0]
    said = "the log-probabilities of an API"
    assert said in render_report(results)
    assert said in (tmp_path / "run" / "student" / "README.md").read_text(encoding="utf-8")
    assert _Server.calls <= 3 * 40

    taught = LabelProbs.load(tmp_path / "run" / "teacher_labels" / "train")
    right, wrong = np.mean([1.4 / 1.6, 0.7, 0.7]), np.mean([0.1 / 1.6, 0.2, 0.1])  # A is right once, and wrong twice
    np.testing.assert_allclose(np.sort(taught.probs_NC, axis=1), [[wrong, wrong, right]] * 20, rtol=1e-9)


@pytest.mark.slow
def test_an_api_is_asked_for_its_rationales(run: dict[str, Any], server: str, tmp_path: Path) -> None:
    few(run, tmp_path)
    run["teacher"] = {"api": {"base_url": server, "model": "large"}, "prompt": {"format": "label_and_rationale"}}
    run["teacher"] |= {"samples": 1, "journal": str(tmp_path / "journal.sqlite")}
    run["student"] |= {"head": "verbaliser"}
    run["recipe"] = {"name": "anon", "rationale_weight": 0.3}
    (cost,) = (found for found in examine(run_config(run), SilentProgress()) if found.check == "cost")  # type: ignore[arg-type]
    assert cost.message.startswith("60 calls, about "), "what the server counts below"
    results = limbeck.distill(**run)
    assert isinstance(results, Results)
    assert any(warning.startswith("20 of 20 training rows have a rationale") for warning in results.warnings)
    assert _Server.calls == 40 + 20
    limbeck.distill(**run | {"output": str(tmp_path / "again")})
    assert _Server.calls == 40 + 20

    run["teacher"]["prompt"]["format"] = "label"
    with pytest.raises(
        ConfigError, match=r"An API is asked for them if its prompt\.format is label_and_rationale or json"
    ):
        limbeck.distill(**run)


def test_a_first_start_that_failed_pins_nothing(run: dict[str, Any], tmp_path: Path) -> None:
    few(run, tmp_path)
    run["teacher"] = {"api": {"base_url": "http://127.0.0.1:9/v1", "model": "large", "tries": 1}, "prompt": {}}
    for seed in (0, 1):
        with pytest.raises(TeacherError, match="there was never any answer"):
            limbeck.distill(**run | {"seeds": [seed]})
    assert "seeds:\n- 1\n" in (Path(run["output"]) / "run.yaml").read_text(encoding="utf-8")


def test_doctor_asks_no_teacher(run: dict[str, Any], tmp_path: Path) -> None:
    few(run, tmp_path)
    run["teacher"] = {"api": {"base_url": "http://127.0.0.1:9/v1", "model": "large"}, "prompt": {}}
    found = {finding.check: finding for finding in examine(run_config(run), SilentProgress())}  # type: ignore[arg-type]
    assert "will be asked about 40 texts in 10 samples each, 400 answers" in found["teacher"].message
    assert found["cost"].message.startswith("400 calls, about ")
    assert "key" not in found
    run["teacher"]["api"] |= {"log_probs": 5, "key_env": "LIMBECK_TEST_NO_KEY"}
    found = {finding.check: finding for finding in examine(run_config(run), SilentProgress())}  # type: ignore[arg-type]
    assert "in 3 orders of the labels each, 120 answers" in found["teacher"].message
    assert found["key"].level == "warning"
    assert "LIMBECK_TEST_NO_KEY (key_env) is not set" in found["key"].message
    run["teacher"]["prompt"] = {"input": "{{ headline }}", "body": "headline"}
    found = {finding.check: finding for finding in examine(run_config(run), SilentProgress())}  # type: ignore[arg-type]
    assert found["models"].level == "fault"
    assert "no field 'headline'" in found["models"].message


@pytest.fixture
def shown(run: dict[str, Any], causal_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """A run whose teacher has hidden states to show: 4 layers of another width than the student's 2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    few(run, tmp_path)
    torch.manual_seed(1)
    config = GPT2Config.from_pretrained(causal_folder, n_embd=32, n_layer=4)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "teacher")
    load_tokenizer(str(causal_folder)).save_pretrained(tmp_path / "teacher")
    run["teacher"] = {"model": str(tmp_path / "teacher"), "prompt": {"format": "none"}, "pilot": 0}  # random weights
    run["student"] |= {"head": "verbaliser"}
    run["recipe"] = {"name": "anon", "hidden_weight": 0.1}
    run["training"] |= {"max_steps": 6, "log_every": 1}
    return run


@pytest.mark.slow
def test_hidden_states_of_a_prompted_teacher_teach(shown: dict[str, Any], tmp_path: Path) -> None:
    results = limbeck.distill(**shown)
    folder = tmp_path / "run"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    first, *_, last = [line for line in lines if line["system"] == "distilled"]
    for line in (first, last):
        assert line["loss"] == pytest.approx(line["term/teacher_labels"] + 0.1 * line["term/hidden_states"], rel=1e-3)
    assert last["term/hidden_states"] < first["term/hidden_states"]
    assert "map" not in " ".join(load_file(folder / "student" / "model.safetensors"))
    assert limbeck.distill(**shown) == results


@pytest.mark.slow
def test_relations_in_a_prompted_teacher_teach(shown: dict[str, Any], tmp_path: Path) -> None:
    shown |= {"recipe": {"name": "minilm_v2", "label_weight": 0, "loss_temperature": 1}, "baselines": []}
    limbeck.distill(**shown)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    first, *_, last = [line for line in lines if line["stage"] == "relations"]
    for name in ("queries", "keys", "values"):
        assert 0 < last[f"term/{name}"] < first[f"term/{name}"]
    assert "term/divergence" in lines[-1]


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("teacher", {"model": None, "prompt": None, "labels_from": "said"}, "hidden states, and teacher.labels_from"),
        ("teacher", {"model": None, "api": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}, "and teacher.api"),
        ("student", {"head": "linear"}, "student.head: recipe 'anon' with these arguments compares hidden states"),
        ("student", {"prompt": {"instruction": "Which one?"}}, "student.prompt: .*read the same prompt"),
        ("recipe", {"hidden_weight": -1}, "the weight of 'hidden_states' must be a number of at least 0"),
        ("training", {"max_length": 9}, "prompt has"),
    ],
)
def test_hidden_states_need_a_teacher_that_has_them_and_the_same_tokens(
    shown: dict[str, Any], section: str, change: dict[str, Any], message: str
) -> None:
    shown[section] |= change
    with pytest.raises(ConfigError, match=message):
        limbeck.distill(**shown)
    assert not list(Path(shown["output"]).glob("teacher_labels"))  # the teacher was not asked


def test_hidden_states_need_a_teacher_at_least_as_deep(shown: dict[str, Any], causal_folder: Path) -> None:
    shown["student"]["model"], shown["teacher"]["model"] = shown["teacher"]["model"], str(causal_folder)
    with pytest.raises(ConfigError, match="cannot keep 4 layers of a teacher with 2"):
        limbeck.distill(**shown)
    assert not list(Path(shown["output"]).glob("teacher_labels"))


def test_hidden_states_need_a_teacher_with_the_students_tokens(shown: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "teacher" / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    words["ba"], words["ga"] = words["ga"], words["ba"]
    file.write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"student\.model: .*write these rows with different ids"):
        limbeck.distill(**shown)


REASON = "The text says this word so it is of the {} kind ."


@pytest.fixture
def explained(run: dict[str, Any], causal_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """A run on 40 rows with rationales, all but three of which can be used; a model that knows their words."""
    from transformers import GPT2Config, GPT2LMHeadModel

    for split, count in (("train", 40), ("test", 12)):
        rows = [json.loads(line) for line in Path(run["data"][split]).read_text(encoding="utf-8").splitlines()][:count]
        for row in rows:
            row["why"] = REASON.format(row["said"])
        if split == "train":
            rows[0]["why"], rows[1]["why"], rows[2]["why"] = None, "too short", "das ist kein englischer Satz " * 3
        run["data"][split] = str(tmp_path / f"{split}.jsonl")
        Path(run["data"][split]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tokenizer = json.loads((causal_folder / "tokenizer.json").read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    for word in ["explain", "Reason", *REASON.split()]:
        words.setdefault(word, len(words))
    folder = tmp_path / "explains"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config.from_pretrained(causal_folder, vocab_size=len(words))).save_pretrained(folder)
    load_tokenizer(str(causal_folder)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    run["teacher"] |= {"rationale": "why"}
    run["student"] = {"model": str(folder), "head": "verbaliser"}
    run["recipe"] = {"name": "anon", "rationale_weight": 0.3}
    run["training"] |= {
        "max_steps": 60,
        "batch_size": 8,
        "micro_batch_size": 4,
        "learning_rate": 1e-2,
        "log_every": 10,
    }
    return run


@pytest.mark.slow
def test_a_student_learns_the_teachers_rationales_and_justifies_its_alerts(
    explained: dict[str, Any], tmp_path: Path
) -> None:
    from limbeck.alerts.flow import make_alerts
    from limbeck.data.articles.read import file_records
    from limbeck.evaluation.alerts.rules import AlertRules
    from limbeck.results.alerts import NO_REASON

    results = limbeck.distill(**explained)
    assert isinstance(results, Results)
    assert any(warning.startswith("37 of 40 training rows have a rationale") for warning in results.warnings)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    first, *_, last = [line for line in lines if line["system"] == "distilled"]
    for line in (first, last):
        assert line["loss"] == pytest.approx(line["term/teacher_labels"] + 0.3 * line["term/rationales"], rel=1e-3)
    assert last["term/rationales"] < 0.3 < first["term/rationales"]

    student = str(tmp_path / "run" / "student")
    predictor = Predictor(student)
    rows = [json.loads(line) for line in Path(explained["data"]["test"]).read_text(encoding="utf-8").splitlines()]
    assert predictor.explains
    made = make_alerts(
        student,
        lambda text: file_records(explained["data"]["test"]),
        AlertRules(severities={"safe": 0, "caution": 0.5, "risk": 1}),
        name="alerts",
        progress=SilentProgress(),
    )
    assert len(made.alerts) == len(rows)
    for alert in made.alerts:
        own = alert.reason.startswith("The text says this word so it is of the")
        assert own or alert.reason == NO_REASON
        assert own == (alert.label != "safe")
    assert {alert.label for alert in made.alerts} >= {"safe", "risk"}
    assert any("the student's own" in note for note in made.notes)


@pytest.mark.slow
def test_a_rationale_with_a_number_that_is_not_in_the_article_is_left_out(
    explained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.alerts.flow import make_alerts
    from limbeck.data.articles.read import file_records
    from limbeck.evaluation.alerts.rules import AlertRules
    from limbeck.results.alerts import NO_REASON

    explained["training"] |= {"max_steps": 1}
    limbeck.distill(**explained)
    rationale = "The text says that 12 of these are in danger now."
    monkeypatch.setattr(Predictor, "rationales", lambda self, rows, update: [rationale] * len(rows))
    made = make_alerts(
        str(tmp_path / "run" / "student"),
        lambda text: file_records(explained["data"]["test"]),
        AlertRules(severities={"safe": 0.1, "caution": 0.5, "risk": 1}),
        name="alerts",
        progress=SilentProgress(),
    )
    assert {alert.reason for alert in made.alerts} == {NO_REASON}
    assert all("12" in (alert.reason_fault or "") for alert in made.alerts)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        (
            "teacher",
            {"rationale": None},
            r"learns the teacher.s rationales, and teacher\.rationale does not name the field of the rows",
        ),
        ("student", {"head": "linear"}, r"this student\.head writes none\. Use student\.head: verbaliser"),
        (
            "student",
            {"adapter": {"kind": "prompt"}},
            r"soft vectors \(student\.adapter\) cannot write\. Use student\.adapter with kind: lora",
        ),
        (
            "recipe",
            {"rationale_weight": 0},
            r"teacher\.rationale is for a recipe that learns the teacher.s rationales, and recipe .anon. .* does not",
        ),
        (
            "teacher",
            {"labels_from": None, "confidence": None, "model": "m"},
            "a teacher that is a classifier gives none. Use a column, prompt or api",
        ),
        ("teacher", {"rationale": "said"}, "none of the 40 training rows has a rationale to learn"),
    ],
)
def test_rationales_need_a_source_and_a_student_that_writes(
    explained: dict[str, Any], section: str, change: dict[str, Any], message: str
) -> None:
    explained[section] |= change
    with pytest.raises(LimbeckError, match=message):
        limbeck.distill(**explained)
