"""Fuzzed files, rows, records and lines: whatever comes in, a `LimbeckError` or success comes out, soon."""

from __future__ import annotations

import copy
import io
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hostile.run_file_texts import SYNTAX, VALUES
from tests.hostile.tally import Tally
from tests.results.old_records import old_record

from limbeck.alerts.flow import load_alert_rules
from limbeck.data.articles.article import ArticleFields
from limbeck.data.articles.read import file_records, read_articles
from limbeck.data.checks import check_record
from limbeck.data.generation.load import load_examples
from limbeck.data.generation.task import Generation
from limbeck.data.instructions.make import Part
from limbeck.data.instructions.rows import own_rows
from limbeck.data.lines import read_lines
from limbeck.data.load import load_rows
from limbeck.data.records import BadRow, Fields
from limbeck.errors import LimbeckError
from limbeck.filter.config import load_filter_file
from limbeck.prompt_search.config import load_tune_file
from limbeck.results.read import read_results
from limbeck.runs.config import load_run_file
from limbeck.runs.folder import refusal_of
from limbeck.tasks.record import RUN_FILE
from limbeck.teachers.chat.answer import Answer, Failure, read_choice
from limbeck.teachers.chat.request import ChatRequest, Message


def many(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Try so many examples, the same ones each time, each within a limit that no machine is too busy for."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=timedelta(seconds=20),
        suppress_health_check=list(HealthCheck),
    )


def attempt(tally: Tally, call: Callable[[], Any]) -> None:
    said = ""
    try:
        call()
    except LimbeckError as error:
        said = str(error)
        tally.add("a clear error")
    else:
        tally.add("done")
    assert len(said) < 20_000


# Values

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["\0", "\ud800", "\u202e", "x" * 3000, "{{ text }}", "int", "str", "x[", "<<", "~x/y"]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**30), max_value=10**30)
    | st.floats()
    | st.dates()
    | st.binary(max_size=4)
    | TEXTS
)
WORDS = (
    "task data teacher student recipe training seeds output provenance kind text label labels train test dev "
    "labels_from confidence rationale api base_url model prompt instruction input demonstrations file fine_tune "
    "num_train_epochs max_steps batch_size learning_rate precision report_to from_teacher layers keep config "
    "model_type adapter head name loss_temperature confidence_threshold strategy sets layout folder languages shots "
    "backbone scorer prompts form baselines rate source distillation target answers metrics packing store server "
    "completion messages template system corpus crisis keywords files screen judge threshold search paraphrases "
    "per_class severities bands medium high fields calibration "
)
KEYS = st.sampled_from(WORDS.split())
VALUES_ANY = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS | st.integers(), inner, max_size=4),
    max_leaves=12,
)
FILES = st.dictionaries(KEYS | TEXTS, VALUES_ANY, max_size=7)
GOOD = [
    "task: {text: body, labels: [a, b]}\ndata: {train: a.jsonl}\n"
    "teacher: {model: m, fine_tune: &t {num_train_epochs: 2}}\n"
    "student: {from_teacher: {layers: spread, keep: 3}}\nrecipe: {name: pkd}\ntraining: *t\nseeds: [0, 1]\n"
    "output: o\n",
    "task: {kind: ranking, languages: [bg]}\ndata: {sets: [{layout: rows, folder: f}]}\n"
    "backbone: {model: m}\noutput: o\n",
    "task: {kind: generation, prompt: q, completion: a}\ndata: {train: a}\nteacher: {model: m}\nstudent: {model: s}\n"
    "recipe: gkd\nanswers: {rows: 3}\noutput: o\n",
    "sets: {e: {files: a, crisis: c, keywords: [k]}}\njudge: {model: m}\noutput: o\n",
    "data: {dev: d}\nteacher: {model: t}\nsearch: {paraphrases: ['{{ labels }}?']}\noutput: o\n",
    "severities: {risk: 1, safe: 0}\nbands: {medium: 0.3}\nfields: {id: n}\n",
]
PIECES = st.sampled_from(
    [*"\n :-[]{}&*!|>'\"%@`,#?~<=\t\0\\", "\n  ", ": ", "- ", "*t", "&t ", "<<: *t", "!!int ", "---\n", *VALUES]
)


@st.composite
def changed(draw: st.DrawFn, goods: list[Any], values: st.SearchStrategy[Any]) -> Any:
    """Return one of `goods`, with up to two values at any depth replaced by `values` or taken out."""
    whole = json.loads(json.dumps(draw(st.sampled_from(goods))))
    for _ in range(draw(st.integers(0, 2))):
        place = whole
        key: Any = None
        while place:
            key = draw(st.sampled_from(sorted(place, key=repr) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.integers(0, 3)) == 0:
                break
            place = place[key]
        if place and draw(st.integers(0, 4)) == 0:
            del place[key]
        elif place:
            place[key] = copy.deepcopy(draw(values))
    return whole


@st.composite
def spoilt(draw: st.DrawFn, texts: list[str]) -> str:
    """Return one of `texts` with pieces put in, taken out, or taken twice."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES | st.just("") | st.just(text[start:end] * 2)) + text[end:]
    return text


LOADERS: list[Callable[[Path], Any]] = [
    load_run_file, load_run_file, load_run_file, load_filter_file, load_tune_file, load_alert_rules,
]  # fmt: skip


@many(600)
@given(
    values=FILES | changed([yaml.safe_load(text) for text in GOOD], VALUES_ANY), loader=st.sampled_from(LOADERS)
)  # fmt: skip
def test_files_of_any_values(
    values: dict[Any, Any], loader: Callable[[Path], Any], tally: Tally, tmp_path: Path
) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(yaml.safe_dump(values, sort_keys=False).encode("utf-8", "surrogatepass"))
    attempt(tally, lambda: loader(path))


@many(500)
@given(text=spoilt(GOOD), loader=st.sampled_from(LOADERS))
def test_files_with_slips(text: str, loader: Callable[[Path], Any], tally: Tally, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    attempt(tally, lambda: loader(path))


@many(200)
@given(key=st.lists(KEYS | TEXTS, max_size=5), value=st.sampled_from(VALUES) | TEXTS | VALUES_ANY.map(repr))
def test_settings(key: list[str], value: str, tally: Tally, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(GOOD[0], encoding="utf-8")
    attempt(tally, lambda: load_run_file(path, [f"{'.'.join(key)}={value}"]))


@many(100)
@given(record=FILES | st.sampled_from(SYNTAX), keep=st.booleans())
def test_records_of_runs(record: Any, keep: bool, tally: Tally, tmp_path: Path) -> None:
    """A run file of one's own beside a damaged record of the run."""
    (tmp_path / "file.yaml").write_text(GOOD[0].replace("output: o", f"output: {tmp_path}/run"), encoding="utf-8")
    config = load_run_file(tmp_path / "file.yaml")
    folder = tmp_path / "run"
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    (folder / "predictions" / "teacher-seed0.npy").touch()
    if isinstance(record, dict):
        kept = {"provenance": {"data_sha256": {"train": "a"}}} if keep else {}
        record = yaml.safe_dump(record | kept).encode("utf-8", "surrogatepass")
    (folder / RUN_FILE).write_bytes(record)
    assert refusal_of(config, {"train": "a"})
    tally.add("a clear error")


# Rows

CELLS = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers(), max_size=2)
GOOD_ROWS: list[Any] = [
    [{"text": "a cat", "label": "b", "said": "b", "sure": 0.5, "reason": "so"}, {"text": "a dog", "label": None}],
    [{"text": "a", "title": "t", "id": 3, "date": "2018-11-12", "lang": "bg", "crisis": "c"}],
    [{"lang": "bg", "text": "a", "label": "a"}, {"lang": "en", "text": "b", "label": "b"}],
    [{"q": "a?", "text": "c", "a": "b"}, {"q": "d"}],
    [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}],
]
ROWS = changed(GOOD_ROWS, CELLS | st.dictionaries(TEXTS, CELLS, max_size=2))
TABLES = [
    'text,label,q\na,b,c\n"c\nd",e,f\n',
    'text\tlabel\na\tb\n"c\ta\n',
    '{"text": "a", "label": "b", "q": "c"}\n',
    '[{"text": "a"}]',
    '{"lang": "bg", "text": "a", "label": "a"}\n',
]
READERS: list[Callable[[Path], Any]] = [
    lambda path: load_rows(path, Fields("text", None, "label", "said", "sure", "reason")),
    lambda path: load_rows(
        path, Fields("text", None, "label"), on_bad_row="quarantine", quarantine=path.with_name("left")
    ),
    lambda path: load_examples(path, Generation(prompt=["q", "text"], completion="a"), on_bad_row="quarantine"),
    lambda path: load_examples(path, Generation(messages="messages")),
    lambda path: read_articles(file_records(path), Fields("text", None, "label"), ArticleFields()),
    lambda path: own_rows(Part(path.parent, "train", ["bg"]), task="topic", labels=["a", "b"]),
]


@many(300)
@given(rows=ROWS, reader=st.sampled_from(READERS))
def test_rows_of_any_values(rows: list[Any], reader: Callable[[Path], Any], tally: Tally, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    attempt(tally, lambda: reader(path))


@many(300)
@given(
    text=spoilt(TABLES) | st.text(),
    suffix=st.sampled_from([".jsonl", ".json", ".csv", ".tsv", ".csv.gz", ".parquet"]),
    reader=st.sampled_from(READERS),
    junk=st.sampled_from([b"", b"", b"", b"\xff", b"\n\x00"]),
)
def test_tables_with_slips(
    text: str, suffix: str, reader: Callable[[Path], Any], junk: bytes, tally: Tally, tmp_path: Path
) -> None:
    for old in tmp_path.glob("train.*"):
        old.unlink()
    path = tmp_path / f"train{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass") + junk)
    attempt(tally, lambda: reader(path))


@many(250)
@given(
    lines=st.lists(
        st.binary(max_size=12)
        | ROWS.map(lambda rows: json.dumps(rows[:1]).encode()[1:-1])
        | spoilt(TABLES).map(lambda text: text.encode("utf-8", "surrogatepass")),
        max_size=4,
    )
)
def test_lines_of_standard_input(lines: list[bytes], tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(lines))))
    for _, record, _ in read_lines("-", "text"):
        checked = record if isinstance(record, BadRow) else check_record(record, Fields("text", None, "label"), None)
        tally.add("a clear error" if isinstance(checked, BadRow) else "done")
        if isinstance(checked, BadRow):
            assert checked.describe("x")


# Records


@many(250)
@given(data=st.data())
def test_results(data: st.DataObject, tally: Tally, tmp_path: Path) -> None:
    record = data.draw(changed([old_record("classification")], CELLS | st.just({}) | st.just([[]])))
    path = tmp_path / "results.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    attempt(tally, lambda: read_results(path))


JSON = st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | TEXTS | st.just([]) | st.just([[]])
LOG_PROB = {
    "token": "A",
    "logprob": -0.1,
    "top_logprobs": [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -3}],
}
CHOICES: list[Any] = [
    {
        "message": {"content": "A", "role": "assistant", "reasoning": "so"},
        "finish_reason": "stop",
        "logprobs": {"content": [LOG_PROB, LOG_PROB]},
    },
    {"message": {"content": [{"type": "text", "text": "A"}]}, "finish_reason": "stop"},
    {
        "text": " A",
        "finish_reason": "stop",
        "logprobs": {"tokens": [" A"], "token_logprobs": [-0.1], "top_logprobs": [{" A": -0.1, " B": -4}]},
    },
]


@many(400)
@given(choice=changed(CHOICES, JSON), chat=st.booleans())
def test_answers_of_an_api(choice: Any, chat: bool, tally: Tally) -> None:
    asked: dict[str, Any] = {"messages": (Message("user", "a"),)} if chat else {"prompt": "a"}
    outcome = read_choice(choice, ChatRequest(**asked, max_tokens=5, top_log_probs=2), "model")
    assert isinstance(outcome, Answer | Failure)
    tally.add("done" if isinstance(outcome, Answer) else "a clear error")
