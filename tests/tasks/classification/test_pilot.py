"""A few labelled rows come first: is the teacher better than always the most frequent label?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

import limbeck
from limbeck.errors import ConfigError, ModelError, TeacherError
from limbeck.runs.config import load_run_file, run_config
from limbeck.runs.examine import examine
from limbeck.runs.folder import resolved_yaml
from limbeck.runs.run_changes import changes_of
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.label_teacher import label_teacher_warnings, make_label_teacher
from limbeck.tasks.classification.pilot import ONE_ANSWER, advice_for, worth_of
from limbeck.tasks.classification.rows import RunRows, read_rows
from limbeck.tasks.finding import Finding
from limbeck.types import SilentProgress

LABELS = ["caution", "risk", "safe"]
MEANING = {"risk": "people are in danger", "safe": "nothing to fear"}


class Server:
    """A chat API that answers by a function of the text and of how often it was asked."""

    def __init__(self) -> None:
        self.react: Callable[[str, int], str] = lambda text, number: "safe"
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                content = "\n".join(message["content"] for message in body["messages"])
                outer.asked.append(content)
                said = outer.react(content, len(outer.asked))
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
                usage = {"prompt_tokens": 20, "completion_tokens": 1}
                answer = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def rows(count: int, first: int = 0) -> list[dict[str, str]]:
    """Every second row is safe, every fourth risk or caution; the text says so."""
    return [
        {"text": f"article {first + i} of {label}", "label": label}
        for i in range(count)
        for label in [("safe", "risk", "safe", "caution")[i % 4]]
    ]


@pytest.fixture
def run(server: Server, encoder_folder: Path, tmp_path: Path) -> dict[str, Any]:
    parts = {"train": rows(200), "test": rows(20, 1000)}
    for name, part in parts.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return {
        "data": {name: str(tmp_path / f"{name}.jsonl") for name in parts},
        "teacher": {"api": {"base_url": server.url, "model": "m"}, "prompt": {}, "samples": 1},
        "student": {"model": str(encoder_folder)},
        "recipe": {"name": "kd", "label_weight": 0},
        "training": {"max_steps": 1, "batch_size": 8},
        "output": str(tmp_path / "run"),
    }


def teach(run: dict[str, Any]) -> Any:
    config = run_config(run)
    assert isinstance(config, RunConfig)
    return make_label_teacher(config, read_rows(config), Path(run["output"]), SilentProgress())


def of_doctor(run: dict[str, Any]) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(run_config(run), SilentProgress())}  # type: ignore[arg-type]


def right(content: str) -> str:
    return content.rsplit(" of ", 1)[-1].split()[0]


@pytest.mark.slow
def test_a_teacher_that_is_clearly_worse_is_asked_about_forty_rows(run: dict[str, Any], server: Server) -> None:
    wrong = {"safe": "risk", "risk": "caution", "caution": "risk"}
    server.react = lambda content, number: wrong[right(content)]
    with pytest.raises(TeacherError) as raised:
        limbeck.distill(**run)
    said = str(raised.value)
    assert len(server.asked) == 40
    assert "right on 0 of 40 labelled rows (0 %), always 'safe' on " in said
    assert "nothing else was" in said
    assert "prompt.instruction" in said
    assert "task.labels: {NAME: ...}" in said
    assert "prompt.demonstrations" in said
    assert "`limbeck prompts tune`" in said
    assert "fine_tune" not in said
    assert said.endswith("teacher.pilot: 0")
    assert not (Path(run["output"]) / "teacher_labels").exists()

    # The same again costs nothing, and the doctor knows it from the journal.
    server.http.shutdown()
    with pytest.raises(TeacherError, match="right on 0 of 40"):
        limbeck.distill(**run)
    fault = of_doctor(run)["pilot"]
    assert fault.level == "fault"
    assert "right on 0 of 40" in fault.message


@pytest.mark.slow
def test_a_teacher_near_the_most_frequent_label_is_asked_about_more(run: dict[str, Any], server: Server) -> None:
    server.react = lambda content, number: "safe"
    with pytest.raises(TeacherError, match=r"right on 8\d of 160 labelled rows"):
        teach(run)
    assert len(server.asked) == 160
    run["teacher"]["pilot"] = 0
    teach(run)
    assert len(server.asked) == 220, "what the pilot asked about is not paid for twice"


@pytest.mark.slow
def test_a_good_teacher_is_asked_about_each_row_once(run: dict[str, Any], server: Server) -> None:
    server.react = lambda content, number: right(content)
    assert "pilot" not in of_doctor(run), "nothing is known yet"
    assert not server.asked
    teacher = teach(run)
    assert len(server.asked) == 220
    assert (teacher.train.probs_NC.argmax(axis=1) == [LABELS.index(row["label"]) for row in rows(200)]).all()
    ok = of_doctor(run)["pilot"]
    assert ok.level == "ok"
    assert "right on 40 of 40" in ok.message
    assert len(server.asked) == 220
    run["teacher"]["prompt"] = {"instruction": "Which one of {{ labels }} is it?"}
    assert "pilot" not in of_doctor(run), "the journal has no answers to this prompt"
    assert len(server.asked) == 220


@pytest.mark.slow
def test_held_out_rows_serve_where_no_training_row_is_labelled(
    run: dict[str, Any], server: Server, tmp_path: Path
) -> None:
    texts = [{"text": row["text"]} for row in rows(200)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
    server.react = lambda content, number: "risk"
    with pytest.raises(TeacherError, match="right on 5 of 20 labelled rows"):
        teach(run | {"task": {"labels": LABELS}})
    assert len(server.asked) == 20


@pytest.mark.slow
def test_answers_without_a_label_end_a_pilot_before_all_rows_are_asked_about(
    run: dict[str, Any], server: Server
) -> None:
    server.react = lambda content, number: "I do not know."
    with pytest.raises(TeacherError, match=r"40 of 40 answers have no label \(40 unknown_label\); at most 10 % may"):
        teach(run)
    server.asked.clear()
    server.react = lambda content, number: "?" if number == 7 else right(content)
    teach(run | {"output": run["output"] + "-2"})
    assert len(server.asked) == 220


@pytest.mark.slow
def test_samples_out_of_a_cache_are_warned_of(run: dict[str, Any], server: Server) -> None:
    server.react = lambda content, number: right(content) if "random digits" not in content else "7 7 7 tree"
    run["teacher"]["samples"] = 3
    teacher = teach(run)
    assert len(server.asked) == 220 * 3 + 4
    assert teacher.train.count() == {"cached_samples": 200}
    assert ONE_ANSWER in label_teacher_warnings(teacher, LABELS)
    server.react = lambda content, number: "risk" if "random digits" not in content else "7 7 7 tree"
    with pytest.raises(TeacherError, match="cache"):
        teach(run | {"output": run["output"] + "-2"})


@pytest.mark.slow
def test_a_teacher_that_is_sure_is_not_taken_for_a_cache(run: dict[str, Any], server: Server) -> None:
    server.react = lambda content, number: right(content) if "random digits" not in content else f"{number} tree"
    run["teacher"]["samples"] = 3
    teacher = teach(run)
    assert teacher.train.count() == {}
    assert ONE_ANSWER not in label_teacher_warnings(teacher, LABELS)


@pytest.mark.slow
def test_samples_that_differ_are_not_tried(run: dict[str, Any], server: Server) -> None:
    server.react = lambda content, number: right(content) + "!" * (number % 3)
    run["teacher"]["samples"] = 3
    assert teach(run).train.count() == {}
    assert len(server.asked) == 220 * 3


@pytest.mark.parametrize(
    ("given", "gold", "expected"),
    [
        ([0] * 20, [0] * 20, (20, 20, False, False)),
        ([1] * 20, [0] * 20, (0, 20, False, True)),
        ([0] * 11 + [1] * 9, [0] * 12 + [1] * 8, (19, 12, True, False)),
        ([-1] * 11 + [1] * 9, [0] * 12 + [1] * 8, None),
        ([1] * 9, [1] * 9, None),
        ([1] * 20, [-1] * 20, None),
    ],
)
def test_what_rows_say_of_a_teacher(given: list[int], gold: list[int], expected: tuple[Any, ...] | None) -> None:
    found = worth_of(np.array(given), np.array(gold), ["a", "b"])
    assert (found and (found.right, found.usual_right, found.is_worth_it, found.clear)) == expected


@pytest.mark.parametrize(
    ("teacher", "said", "unsaid"),
    [
        ({"model": "m"}, "teacher.fine_tune", "prompt"),
        ({"labels_from": "c"}, "teacher.labels_from", "fine_tune"),
        ({"model": "m", "prompt": {}}, "limbeck prompts tune", "fine_tune"),
    ],
)
def test_the_advice_is_about_what_the_teacher_is(teacher: dict[str, Any], said: str, unsaid: str) -> None:
    values = {"data": {"train": "x"}, "teacher": teacher, "student": {"model": "m"}, "output": "o"}
    config = run_config(values | {"recipe": {"name": "kd", "label_weight": 0}})
    assert isinstance(config, RunConfig)
    assert said in advice_for(config)
    assert unsaid not in advice_for(config)


@pytest.mark.slow
def test_labels_with_what_they_mean_are_shown_and_recorded(run: dict[str, Any], server: Server) -> None:
    run["task"] = {"labels": {"safe": MEANING["safe"], "risk": MEANING["risk"], "caution": None}}
    server.react = lambda content, number: right(content)
    teach(run)
    assert "- 'safe': nothing to fear\n- 'risk': people are in danger\n" in server.asked[0]
    config = run_config(run)
    assert isinstance(config, RunConfig)
    assert config.task.labels == ["safe", "risk", "caution"]
    assert "give each label a line" not in advice_for(config)
    file = Path(run["output"]) / "run.yaml"
    file.write_text(resolved_yaml(config, {}), encoding="utf-8")
    assert load_run_file(file).model_dump(exclude={"provenance"}) == config.model_dump(exclude={"provenance"})


@pytest.mark.parametrize(
    ("task", "prompt", "message"),
    [
        ({"labels": {"a": "x"}}, {}, "at least 2"),
        ({"labels": {"a": "x", "b": " "}}, {}, "1 to 300 characters"),
        ({"labels": {"a": "x", "b": "y" * 301}}, {}, "1 to 300 characters"),
        ({"labels": {"a": "x", "b": ["y"]}}, {}, "string"),
        ({"labels": {"a": "x", "b": "y"}, "descriptions": {"a": "z"}}, {}, "remove descriptions"),
        ({"labels": ["a", "b"], "descriptions": {"c": "z"}}, {}, "'c' is not one of the labels"),
        ({"descriptions": {"c": "z"}}, {}, "'c' is not one of the labels"),
        ({"labels": {"a": "x", "b": "y"}}, {"descriptions": {"a": "other"}}, "describe the labels differently"),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(
    task: dict[str, Any], prompt: dict[str, Any], message: str, run: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config(run | {"task": task, "teacher": run["teacher"] | {"prompt": prompt}})


@pytest.mark.slow
def test_rows_are_taken_by_the_seed(run: dict[str, Any], server: Server) -> None:
    asked = []
    for seed in (0, 0, 1):
        server.asked.clear()
        server.react = lambda content, number: "risk"
        with pytest.raises(TeacherError):
            teach(run | {"seeds": [seed], "output": f"{run['output']}-{len(asked)}"})
        asked.append(sorted(server.asked))
    assert asked[0] == asked[1] != asked[2]


def test_the_size_of_the_pilot_makes_no_other_run(tmp_path: Path) -> None:
    before, after = ({"teacher": {"pilot": size, "samples": 3}} for size in (40, 0))
    assert not list(changes_of(before, after, {}, {}, tmp_path))


@pytest.mark.slow
def test_a_column_that_is_no_better_than_the_most_frequent_label(run: dict[str, Any], tmp_path: Path) -> None:
    told = [{**row, "said": "risk" if i % 3 else "caution"} for i, row in enumerate(rows(200))]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told[:20]), encoding="utf-8")
    run["teacher"] = {"labels_from": "said"}
    with pytest.raises(ModelError, match=r"Check that teacher\.labels_from is the right field") as raised:
        limbeck.distill(**run)
    assert "fine_tune" not in str(raised.value)


@pytest.mark.slow
def test_rows_without_labels_have_no_pilot(run: dict[str, Any], server: Server) -> None:
    config = run_config(run | {"task": {"labels": LABELS, "label": None}})
    assert isinstance(config, RunConfig)
    read: RunRows = read_rows(config)
    server.react = lambda content, number: "risk"
    make_label_teacher(config, read, Path(run["output"]), SilentProgress())
    assert len(server.asked) == 220
