from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.runs.flow import run
from limbeck.tasks.finding import Finding
from limbeck.tasks.ranking.checks import _dual_encoder_seconds, _planned
from limbeck.tasks.ranking.context import Context
from limbeck.tasks.ranking.rows import read_language_data
from limbeck.tasks.ranking.timing import seconds_per_row
from limbeck.types import Instruction, SilentProgress

Records = Callable[..., list[Instruction]]
LABELS = ["health", "politics", "sports"]
Rows = list[dict[str, Any]]


@pytest.fixture
def train(make_topic_records: Records) -> Rows:
    """24 parallel training rows in English, Bulgarian and Slovak, which a test may spoil."""
    return rows_of(make_topic_records, slice(0, 24))


def rows_of(make_topic_records: Records, part: slice) -> Rows:
    return [
        {"lang": lang, "key": i, "text": record.input, "label": record.candidates[record.gold[0]]}
        for lang in ("en", "bg", "sk")
        for i, record in enumerate(make_topic_records(lang)[part])
    ]


@pytest.fixture
def sections(multilingual_folder: Path, make_topic_records: Records, tmp_path: Path, train: Rows) -> dict[str, Any]:
    write(tmp_path, "train", train)
    write(tmp_path, "test", rows_of(make_topic_records, slice(24, 36)))
    one = {"max_steps": 3, "batch_size": 4, "checkpoints": 1}
    own = {"layout": "rows", "folder": str(tmp_path), "task": "topic", "labels": LABELS, "key": "key"}
    return {
        "task": {"kind": "ranking", "languages": ["bg", "sk"]},
        "data": {"sets": [own], "shots": [0, 2]},
        "backbone": {"model": str(multilingual_folder), "scorer": "dual_encoder", "max_length": 110},
        "prompts": {"form": "soft"},
        "training": {"source": one, "distillation": {**one, "max_steps": 5}, "target": {**one, "max_steps": 2}},
        "output": str(tmp_path / "run"),
    }


def write(folder: Path, split: str, rows: Rows) -> None:
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def findings(sections: dict[str, Any]) -> list[Finding]:
    return examine(run_config(sections), SilentProgress())


def of(found: list[Finding], check: str) -> tuple[set[str], str]:
    """The levels and the words of a check's findings."""
    mine = [finding for finding in found if finding.check == check]
    return {finding.level for finding in mine}, "\n".join(finding.message for finding in mine)


def test_translations(sections: dict[str, Any], train: Rows, tmp_path: Path) -> None:
    """English sentences are what the teacher learns from; tokens are those of the translations."""
    folder = {"layout": "rows_translation", "folder": str(tmp_path), "key": "key"}
    own = {"distractors": {"nearest": 5, "random": 5}, "train_distractors": {"nearest": 1, "random": 1}}
    sections["data"]["sets"] = [folder | own]
    rows = [row | {"key": f"train {row['key']}"} for row in train]
    write(tmp_path, "train", [row if row["lang"] != "sk" else row | {"text": f"{row['text']} ¤ ¤"} for row in rows])
    found = findings(sections)
    assert "24 labelled source-language records, 48 target-language records" in of(found, "data")[1]
    assert "en 24/0, bg 24/12, sk 24/12" in of(found, "data")[1]
    assert "no test records" not in of(found, "data")[1]
    assert "share of unknown tokens: sk" in of(found, "tokenizer")[1]
    bulgarian, slovak = (
        float(of(found, "tokenizer")[1].split(f"{lang} ")[-1].split(",")[0].split(";")[0]) for lang in ("bg", "sk")
    )
    assert slovak > bulgarian


def test_a_dual_encoder_is_timed_by_the_tokens_that_it_reads(
    sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each different candidate once, so that test records which share theirs cost little."""
    context = Context(run_config(sections), Path(sections["output"]), read_language_data(run_config(sections)),
                  SilentProgress())  # type: ignore[arg-type] # fmt: skip
    ((_, system), *_) = context.recipes()
    clock = iter(float(second) for second in range(100))
    monkeypatch.setattr("limbeck.tasks.ranking.checks.time.perf_counter", lambda: next(clock))
    tests = context.data.test
    scorer, encoder = context.new_scorer(system, 0), context.encoder(system)
    # So few that the sample is all of them; it takes a second by this clock.
    assert _dual_encoder_seconds(scorer, encoder, tests[:20]) == pytest.approx(1 / 20)
    once = _dual_encoder_seconds(scorer, encoder, tests)
    twice = _dual_encoder_seconds(scorer, encoder, [*tests, *tests])
    queries, candidates, _ = encoder.encode(tests).two_sides(range(len(tests)))
    assert 2 * len(tests) * twice - len(tests) * once == pytest.approx(
        len(tests) * once * queries.lengths.sum() / (queries.lengths.sum() + candidates.lengths.sum()), rel=0.2
    )


def test_the_expected_time_counts_the_trials_of_a_search(
    sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The English model is trained once for each seed, whatever is tried."""
    monkeypatch.setattr("limbeck.tasks.ranking.checks.seconds_per_row", lambda *words: (1.0, 0.0))
    monkeypatch.setattr("limbeck.tasks.ranking.checks._dual_encoder_seconds", lambda *words: 0.0)
    monkeypatch.setattr("limbeck.formatting.duration_text", str)
    sections |= {"seeds": [0, 1], "baselines": ["transfer"]}
    plain, searching = (findings({**sections, "search": s}) for s in (None, {"learning_rate": [1e-5, 1e-4, 1e-3]}))
    seconds, more = (float(of(found, "time")[1].split()[1]) for found in (plain, searching))
    english, students = 4 * 3, 4 * (5 + 2 + 2)
    assert seconds == 2 * (english + students)
    assert more == 2 * english + (3 + 1) * students
    assert "on 20 development rows" in of(searching, "search")[1]


def test_nothing_is_wrong_with_a_good_run(sections: dict[str, Any]) -> None:
    found = findings(sections)
    assert {finding.level for finding in found} <= {"ok", "note"}
    assert (
        "24 labelled source-language records, 48 target-language records to learn from, 36 test"
        in of(found, "data")[1]
    )
    assert "en 24/12, bg 24/12, sk 24/12" in of(found, "data")[1]
    assert "at least 24 labelled records" in of(found, "labels")[1]
    assert "bg 100 %, sk 100 %" in of(found, "pairing")[1]
    assert "passes recipe.confidence_threshold 0.5 is known once" in of(found, "gate")[1]
    # 8 vectors for the task and 8 for each of 3 languages, 32 wide.
    assert f"{(8 + 3 * 8) * 32:,} of them soft prompts" in of(found, "models")[1]
    assert "and 16 vectors, of 110 positions" in of(found, "prompts")[1]
    assert of(found, "time")[0] == {"note"}
    assert not (Path(sections["output"])).exists()


def test_steps_are_those_of_the_run(sections: dict[str, Any]) -> None:
    """Distillation alone is trained once for all budgets; joint systems get the steps of all stages."""
    words = of(findings(sections), "steps")[1]
    assert "source_model: source 3 x 4" in words
    assert "ml_ipd: distillation 5 x 4 records, target (shots 2) 2 x 4" in words
    assert "ml_dft: fine_tune (shots 0) 8 x 4 records, fine_tune (shots 2) 10 x 4" in words
    assert "rl_ia: reinforce (shots 0) 5 x 4 records, reinforce (shots 2) 7 x 4" in words
    assert "transfer: target (shots 2) 2 x 4" in words


@pytest.mark.slow
def test_the_plan_is_what_a_run_trains(sections: dict[str, Any]) -> None:
    config: Any = run_config(
        sections | {"baselines": ["ml_dft", "transfer"], "recipe": {"name": "ml_ipd", "confidence_threshold": 0.0}}
    )
    context = Context(config, Path(config.output), read_language_data(config), SilentProgress())
    planned = sorted(one.steps for _, one in _planned(context, {}))
    run(config, progress=SilentProgress())
    done = Path(config.output).glob("stages/seed0/*/done.json")
    trained = [json.loads(path.read_text(encoding="utf-8"))["steps"] for path in done]
    assert sorted(trained) == planned


def test_few_labels_are_found(sections: dict[str, Any], train: Rows, tmp_path: Path) -> None:
    for row in train:
        if row["lang"] == "sk" and row["key"] >= 5:
            del row["label"]
    write(tmp_path, "train", train)
    sections["data"]["shots"] = 16
    levels, words = of(findings(sections), "labels")
    assert levels == {"warning"}
    assert "fewer than shots 16 labelled training records: sk (topic) 5" in words


def test_labels_that_look_alike_are_found(sections: dict[str, Any], train: Rows, tmp_path: Path) -> None:
    sections["data"]["sets"][0]["labels"] = [*LABELS, "Health"]
    levels, words = of(findings(sections), "labels")
    assert "warning" in levels
    assert "rows, topic, bg: The labels 'Health' and 'health' differ only in case" in words
    sections["data"]["sets"][0]["labels"] = LABELS
    train[5]["label"] = "Health"
    write(tmp_path, "train", train)
    ((fault,), words) = of(findings(sections), "data")
    assert fault == "fault"
    assert "field 'label' has 'Health' for 'health': 1 row, the first is" in words
    assert "train.jsonl, line 6" in words


def test_texts_in_another_script_are_found(sections: dict[str, Any], train: Rows, tmp_path: Path) -> None:
    for row in train:
        if row["lang"] == "bg":
            row["text"] = f"tekst {row['key']} napisan na latinitsa, a ne na kirilitsa, kakto trjabva da bade"
    write(tmp_path, "train", train)
    found = findings(sections)
    assert "bg" in of(found, "script")[1]
    assert "Cyrillic" in of(found, "script")[1]
    assert any(f.level == "warning" and "is this the right language?" in f.message for f in found)


def test_an_unpaired_language_is_found(sections: dict[str, Any], train: Rows, tmp_path: Path) -> None:
    for row in train:
        if row["lang"] == "sk":
            row["key"] += 1000
    write(tmp_path, "train", train)
    levels, words = of(findings(sections), "pairing")
    assert levels == {"warning"}
    assert "bg 100 %, sk 0 %" in words
    assert "None in sk" in words


def test_records_without_translations_are_a_fault_unless_they_are_read_alike(sections: dict[str, Any]) -> None:
    del sections["data"]["sets"][0]["key"]
    found = findings(sections)
    assert (found[-1].level, found[-1].check) == ("fault", "pairing")
    assert "Use pairing: same" in found[-1].message
    sections["recipe"] = {"name": "ml_ipd", "pairing": "same"}
    assert of(findings(sections), "pairing")[0] == {"ok"}


def test_cut_inputs_are_found(sections: dict[str, Any], train: Rows, tmp_path: Path) -> None:
    """Exactly the rows that do not fit: 16 vectors, 2 marks and the text, in 40 positions."""
    for row in train:
        if row["lang"] == "sk":
            row["text"] = f"{row['text']} " + "hrá " * 40
    write(tmp_path, "train", train)
    sections["backbone"]["max_length"] = 40
    sections["baselines"] = ["ml_dft"]
    levels, words = of(findings(sections), "length")
    assert levels == {"warning"}
    assert "22 % of the inputs are cut at 40 positions" in words  # 24 of 36 Slovak ones, of 108
    assert "most in sk 67 %" in words


def test_prompts_that_leave_no_room_are_a_fault(sections: dict[str, Any]) -> None:
    sections["backbone"]["max_length"] = 18
    last = findings(sections)[-1]
    assert (last.level, last.check) == ("fault", "models")
    assert "Use fewer soft vectors" in last.message


def test_a_tokenizer_that_does_not_know_a_language_is_found(sections: dict[str, Any], encoder_folder: Path) -> None:
    """The English tokenizer of the other tests has no Cyrillic letter."""
    sections["backbone"]["model"] = str(encoder_folder)
    sections["baselines"] = []
    found = findings(sections)
    levels, words = of(found, "tokenizer")
    assert "warning" in levels
    assert "bg 100 %" in words
    assert "is this a multilingual tokenizer?" in words


@pytest.mark.parametrize(
    ("section", "value", "check", "message"),
    [
        ("data", {"sets": [{"layout": "rows_translation", "folder": "/nowhere", "key": "n"}]}, "data", "/nowhere"),
        ("backbone", {"model": "/nowhere/model"}, "models", "no such folder"),
    ],
)
def test_faults_end_the_examination(
    section: str, value: dict[str, Any], check: str, message: str, sections: dict[str, Any]
) -> None:
    sections[section] = value
    last = findings(sections)[-1]
    assert (last.level, last.check) == ("fault", check)
    assert message in last.message


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", ["dual_encoder", "cross_encoder", "verbaliser"])
def test_timing_leaves_no_gradient_and_changes_no_weight(kind: str, sections: dict[str, Any]) -> None:
    sections["backbone"]["scorer"] = kind if kind != "verbaliser" else "auto"
    config: Any = run_config(sections)
    context = Context(config, Path(config.output), read_language_data(config), SilentProgress())
    system = dict(context.recipes())["pl_bl" if kind == "verbaliser" else "ml_ipd"]
    scorer = context.new_scorer(system, 0)
    before = {name: tensor.clone() for name, tensor in scorer.state_dict().items()}
    training, forward = seconds_per_row(scorer, context.encoder(system).encode(context.data.test), kind)  # type: ignore[arg-type]
    assert forward > 0
    assert training > 0
    assert all(parameter.grad is None for parameter in scorer.parameters())
    assert all(tensor.equal(before[name]) for name, tensor in scorer.state_dict().items())


def test_an_output_that_is_no_folder_is_a_fault(sections: dict[str, Any]) -> None:
    sections["output"] = "/dev/null"
    assert Finding("fault", "output", "/dev/null is not a folder. Choose another output") in findings(sections)
