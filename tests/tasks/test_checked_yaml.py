"""YAML files that were made to hang or crash their reader, and what takes their place in a message."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from limbeck.alerts.flow import load_alert_rules
from limbeck.errors import ConfigError
from limbeck.filter.config import load_filter_file
from limbeck.prompt_search.config import load_tune_file
from limbeck.runs.config import load_run_file, run_config

GOOD = """\
data: {train: tickets.jsonl}
teacher: {model: org/encoder}
student: {model: org/small}
recipe: kd
output: runs/tickets
"""


def fault(tmp_path: Path, text: str, *overrides: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_run_file(path, overrides)
    return str(caught.value)


def nested_aliases(levels: int) -> str:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "provenance:\n" + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize("levels", [7, 8, 30, 300])
def test_aliases_of_aliases_do_not_hang(levels: int, tmp_path: Path) -> None:
    started = time.process_time()
    assert "aliases of aliases expand to more than" in fault(tmp_path, GOOD + nested_aliases(levels))
    assert time.process_time() - started < 5


def test_a_chain_of_aliases_is_as_deep_as_what_it_stands_for(tmp_path: Path) -> None:
    lines = ["l0: &l0 [x]", *(f"l{i}: &l{i} [*l{i - 1}]" for i in range(1, 60))]
    message = fault(tmp_path, GOOD + "provenance:\n" + "".join(f"  {line}\n" for line in lines))
    assert "run.yaml:" in message
    assert "aliases of aliases expand to more than 50 levels" in message


@pytest.mark.parametrize("text", ["provenance: &p {p: *p}\n", "a: &a [*a]\n", "provenance: &p\n  x: [1, {y: *p}]\n"])
def test_a_value_inside_of_itself(text: str, tmp_path: Path) -> None:
    assert "is inside its own target" in fault(tmp_path, GOOD + text)


def test_aliases_that_people_write_are_taken(tmp_path: Path) -> None:
    text = GOOD.replace("org/encoder}", "org/encoder, fine_tune: &t {num_train_epochs: 2, batch_size: 8}}")
    text += "training: *t\nprovenance: {a: &l [1, 2], b: *l, c: {<<: *t, num_train_epochs: 3}}\n"
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    config = load_run_file(tmp_path / "run.yaml")
    assert (config.training.num_train_epochs, config.training.batch_size) == (2, 8)
    assert config.provenance["c"] == {"num_train_epochs": 3, "batch_size": 8}


def test_a_fault_beside_a_merged_key_has_its_own_line(tmp_path: Path) -> None:
    text = GOOD.replace("org/encoder}", "org/encoder, fine_tune: &t {num_train_epochs: 2}}")
    assert "run.yaml:8: training.num_train_epochs" in fault(
        tmp_path, text + "training:\n  <<: *t\n  num_train_epochs: many\n"
    )


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("what", ["[", "{a: ", "- ", "? "])
@pytest.mark.parametrize("depth", [60, 3_000, 100_000])
def test_deep_nesting_is_refused_soon(what: str, depth: int, tmp_path: Path) -> None:
    started = time.process_time()
    message = fault(tmp_path, "provenance:\n  " + what * depth + "\n")
    assert "nested more than 50 levels deep" in message
    assert time.process_time() - started < 5


def test_a_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in fault(tmp_path, GOOD + "#" * 2**20)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_run_file(Path("/dev/zero"))


def test_a_thousand_faults_are_counted(tmp_path: Path) -> None:
    message = fault(tmp_path, GOOD + "".join(f"key{i}: 1\n" for i in range(1000)))
    assert message.startswith("1000 faults in the run")
    assert message.endswith("and 980 more")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2020-13-45", "run.yaml:6: '2020-13-45' looks like a date but is not; put quotes around a text"),
        ("2020-01-01 25:00:00", "looks like a date but is not"),
        ("2020-01-01 00:00:00 +99:99", "looks like a date but is not"),
        ("0x_", "run.yaml:6: '0x_' looks like a number but is not"),
        ("0b_", "looks like a number but is not"),
        ("9" * 5000, "looks like a number but is not"),
        ("0x" + "f" * 5000, "a number of more than 64 bits"),
        ("9" * 4000, "a number of more than 64 bits"),
        ("99999999999999999999999", "a number of more than 64 bits"),
        ("!!int abc", "'abc' looks like a number but is not"),
        ("!!float abc", "'abc' looks like a number but is not"),
        ("!!bool maybe", "'maybe' looks like 'bool' but is not"),
        ("!!timestamp foo", "'foo' looks like a date but is not"),
        ("!!binary '§'", "not valid YAML"),
        ('"a\\0b"', "holds a NUL character"),
        ('"\\ud800x"', "holds half of a surrogate pair"),
        ("!!python/name:os.system", "not valid YAML"),
        ("*nowhere", "not valid YAML: found undefined alias"),
    ],
)
def test_values_that_cannot_be_made(value: str, words: str, tmp_path: Path) -> None:
    """In every kind of file, as a value of `--set` too, and as a key."""
    assert words in fault(tmp_path, GOOD + f"seeds: {value}\n")
    of_set = words.replace("run.yaml:6:", "--set seeds:").partition(": put")[0]
    assert of_set in fault(tmp_path, GOOD, f"seeds={value}")
    for load in (load_alert_rules, load_filter_file, load_tune_file):
        (tmp_path / "file.yaml").write_text(f"output: {value}\n", encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "file.yaml")
        assert words.replace("run.yaml:6:", "file.yaml:1:") in str(caught.value)


@pytest.mark.parametrize("key", ["int", "str", "float", '"x["', "constrained-int", "1", '"function-x"'])
def test_a_key_with_the_name_of_a_type_is_a_key(key: str, tmp_path: Path) -> None:
    """Pydantic names alternatives so where it says which one is at fault."""
    name = key.strip('"')
    assert "run.yaml:6: " in (message := fault(tmp_path, GOOD + f"{key}: 3\n"))
    assert f"unknown key '{name}'" in message or "Keys should be strings" in message
    inside = fault(tmp_path, GOOD + f"training:\n  {key}: 3\n")
    assert "run.yaml:7: " in inside
    assert f"unknown key 'training.{name}'" in inside or "Keys should be strings" in inside


@pytest.mark.parametrize("key", ["yes", "no", "~", "2020-01-01", "0.5", "[a]", "{a: b}"])
def test_a_key_that_is_no_word_is_quoted(key: str, tmp_path: Path) -> None:
    """Labels are often called yes and no."""
    (tmp_path / "rules.yaml").write_text(f"severities:\n  risk: 1\n  {key}: 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rules.yaml:3: expected a word as key, but .*; put quotes around it"):
        load_alert_rules(tmp_path / "rules.yaml")
    (tmp_path / "rules.yaml").write_text("severities: {risk: 1, 'yes': 0}\n", encoding="utf-8")
    assert load_alert_rules(tmp_path / "rules.yaml").severities == {"risk": 1, "yes": 0}


def test_the_alternative_of_a_union_is_no_key(tmp_path: Path) -> None:
    message = fault(tmp_path, GOOD.replace("tickets.jsonl", "3"))
    assert "run.yaml:1: data.train: Input should be a valid string (got 3)" in message


@pytest.mark.parametrize("kind", ["[a]", "{a: b}", "3", "null", "[ranking]", "clasification"])
def test_a_kind_of_task_that_there_is_not(kind: str, tmp_path: Path) -> None:
    message = fault(tmp_path, GOOD + f"task: {{kind: {kind}}}\n")
    assert "run.yaml:6: task.kind: there is no kind " in message
    assert (
        "did you mean " in message
        or "known here: classification, generation, masked_lm, multi_label, ranking" in message
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("seeds=[4294967296]", "seeds must be different whole numbers from 0 to 4294967295"),
        ("training.max_steps=9999999999", "training.max_steps: Input should be less than or equal to 1000000000"),
        (
            "training.num_train_epochs=1e300",
            "training.num_train_epochs: Input should be less than or equal to 1000000",
        ),
        ("training.batch_size=9999999999", "training.batch_size: Input should be less than or equal to"),
        ("training.checkpoints=9999999999", "training.checkpoints: Input should be less than or equal to"),
        ("teacher.samples=100000000", "teacher.samples: Input should be less than or equal to 1000"),
        ("output=", "output: Input should be a valid string"),
        ("output=2020-12-05", "(got datetime.date(2020, 12, 5)): put quotes around a text that looks like one"),
        ("output=12", "(got 12): put quotes around a text that looks like one"),
        ("output=''", "output: expected a path, got an empty one"),
        ("output='  '", "output: expected a path, got an empty one"),
        ("data.train=''", "data.train: expected a path, got an empty one"),
    ],
)
def test_numbers_and_paths_that_nothing_can_be_made_of(setting: str, words: str, tmp_path: Path) -> None:
    assert words in fault(tmp_path, GOOD, setting)


@pytest.mark.parametrize("path", ["", " ", "a\0b", "\ud800x"])
@pytest.mark.parametrize("where", ["output", "train"])
def test_the_same_paths_in_python(path: str, where: str) -> None:
    sections: dict[str, Any] = {"data": {"train": "a.jsonl"}, "teacher": {"model": "m"}, "student": {"model": "s"},
                                "recipe": "kd", "output": "runs/x"}  # fmt: skip
    if where == "train":
        sections["data"] = {"train": ["b.jsonl", path]}
    else:
        sections["output"] = path
    with pytest.raises(ConfigError, match="expected a path"):
        run_config(sections)


def test_numbers_beyond_all_bounds_in_python() -> None:
    with pytest.raises(ConfigError, match="more than 64 bits"):
        run_config({"seeds": [10**5000], "training": {"max_steps": -(10**5000)}})


def test_long_values_are_cut_in_messages(tmp_path: Path) -> None:
    long = "x" * 100_000
    for text in (f"{long}: 1\n", f"seeds: {long}\n", f"training: {{{long}: 1}}\n", f"{long}: 1\n{long}: 2\n"):
        assert len(fault(tmp_path, GOOD + text)) < 1000


def test_what_stands_where_the_name_of_a_keys_variable_belongs_is_not_shown(tmp_path: Path) -> None:
    api = "{base_url: http://h/v1, model: m, key_env: [sk-planted]}"
    message = fault(tmp_path, GOOD.replace("{model: org/encoder}", f"{{api: {api}, prompt: {{}}}}"))
    assert "teacher.api.key_env" in message
    assert "planted" not in message
