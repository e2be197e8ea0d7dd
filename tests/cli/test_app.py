from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.evaluation.measured import find, value

from limbeck.cli.app import main
from limbeck.results.read import read_results


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["limbeck", *words])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


@pytest.mark.fast_cases(5)
@pytest.mark.parametrize(
    "command",
    [
        "alerts evaluate",
        "alerts predict",
        "augment",
        "calibrate",
        "demo",
        "distill",
        "doctor",
        "evaluate",
        "filter",
        "journal",
        "plan",
        "predict",
        "prompts tune",
        "recipes",
        "report",
        "store",
    ],
)
def test_every_command_shows_an_indented_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, *command.split(), "--help")
    assert code == 0
    examples = out.split("Example", 1)[1].splitlines()
    assert any(line.startswith(f"  limbeck {command}") for line in examples)


def test_the_version_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(monkeypatch, capsys, "--version")
    assert code == 0
    assert out.startswith("limbeck 0.")


def test_help_does_not_load_the_heavy_libraries() -> None:
    """`limbeck --help` is quick because it loads none of these."""
    program = (
        "import sys\nsys.argv = ['limbeck', '--help']\nfrom limbeck.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'pydantic', 'matplotlib') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("[]")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distill", "nowhere.yaml"], "there is no run file nowhere.yaml"),
        (["distil", "run.yaml"], "No such command 'distil'"),
        (["my run.yaml", "--set", "a=1"], "Try: limbeck distill 'my run.yaml' --set a=1"),
        (["distill"], "Missing argument 'RUN.yaml'.\nTry: limbeck distill --help"),
        (["report", "nowhere"], "nowhere"),
        (["recipes", "pdk"], "unknown recipe 'pdk': did you mean 'pd' or 'pkd'?"),
        (["predict", "/nowhere/model"], "no such folder"),
        (["doctor", "nowhere.yaml"], "there is no run file"),
        (["evaluate", "/nowhere/model", "rows.jsonl"], "no such folder"),
        (["evaluate", ".", "rows.jsonl", "--label", "l"], "--text-pair and --label go with --text"),
    ],
)
def test_a_fault_in_the_input_exits_with_2_and_no_traceback(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = run(monkeypatch, capsys, *words)
    assert code == 2
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_fault_of_ours_exits_with_1_and_a_traceback() -> None:
    program = (
        "import sys\nfrom limbeck.recipes import catalogue\n"
        "def broken():\n    raise AssertionError('ours')\ncatalogue.recipe_cards = broken\n"
        "sys.argv = ['limbeck', 'recipes']\nfrom limbeck.cli.app import main\nmain()"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "Traceback" in answer.stderr


def test_recipes_are_listed_with_paper_needs_and_defaults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, "recipes")
    assert code == 0
    for words in ("fine_tune", "kd", "distilbert", "pkd", "arXiv:1503.02531", "loss_temperature: 2.0",
                  "needs: labels; teacher logits"):  # fmt: skip
        assert words in out
    titles = [line for line in out.splitlines() if line.startswith(("Every kind", "Classification", "Text gen"))]
    assert titles[:3] == ["Classification", "Every kind of task", "Every kind of task but ranking"]
    assert len(set(titles)) == len(titles), "each group is there once"


def test_a_recipe_says_what_of_its_paper_is_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    off = {"minillm": "corpus_weight: 1", "distillm": "corpus_weight: 1", "f_distill": "hint_weight: 3"}
    for name, words in off.items():
        code, out, _ = run(monkeypatch, capsys, "recipes", name)
        assert code == 0
        assert "left out by default: the paper's" in out
        assert words in " ".join(out.split())
    assert "left out" not in run(monkeypatch, capsys, "recipes", "gkd")[1]


def test_one_recipe_is_shown_with_its_published_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = " ".join(run(monkeypatch, capsys, "recipes", "pkd")[1].split())
    assert "published: RTE, test set: accuracy 65.5;" in one
    assert "not checked against the paper" in one
    assert "published:" not in run(monkeypatch, capsys, "recipes")[1]


@pytest.fixture(scope="module")
def student(encoder_folder: Path, tickets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small distillation."""
    import limbeck

    folder = tmp_path_factory.mktemp("run") / "run"
    patch = pytest.MonkeyPatch()
    patch.setattr("limbeck.evaluation.speed._measure_on_disk", lambda model, longest: (1, 1))
    patch.setattr("limbeck.evaluation.speed._LATENCY_ROWS", 2)
    limbeck.distill(
        data={"train": str(tickets["labelled"]), "test": str(tickets["test"])},
        teacher={
            "model": str(encoder_folder),
            "fine_tune": {"num_train_epochs": 6, "learning_rate": 3e-3, "batch_size": 8},
        },
        student={"from_teacher": {"layers": "uniform", "keep": 2}},
        recipe="kd",
        baselines=[],
        training={"max_steps": 12, "learning_rate": 1e-3, "batch_size": 16},
        output=str(folder),
    )
    patch.undo()
    return folder


@pytest.mark.slow
def test_predict_labels_standard_input(
    student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = b'my card is lost\n\n{"text": "what is the rate"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code, out, _ = run(monkeypatch, capsys, "predict", str(student / "student"), "--top", "2")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [answer["text"] for answer in answers] == ["my card is lost", "what is the rate"]
    assert all(len(answer["probabilities"]) == 2 for answer in answers)
    assert answers[0]["confidence"] == max(answers[0]["probabilities"].values())


@pytest.mark.slow
def test_predict_labels_a_file_and_writes_a_file(
    student: Path, tickets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    output = tmp_path / "out.jsonl"
    code, out, _ = run(
        monkeypatch, capsys, "predict", str(student / "student"), str(tickets["test"]), "--output", str(output)
    )
    assert (code, out) == (0, "")
    assert len(output.read_text(encoding="utf-8").splitlines()) == len(tickets["test"].read_text().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff\xfe", "standard input:1: not UTF-8"),
        (b"{broken", "standard input:1: looks like JSON but is not"),
        (b'{"txt": "a"}', "standard input:1: field 'text': missing; did you mean 'txt'?"),
        (b'{"text": " "}', "standard input:1: field 'text': white space only"),
        (b'{"text": 3}', "standard input:1: field 'text': expected text, got a number: 3"),
        (b'{"text": "a \\ud800 b"}', "standard input:1: field 'text': character 3 is half of a surrogate pair"),
        (b"a\0b", "standard input:1: field 'text': character 2 is NUL"),
        (b'{"text": "a", "x": ' + b"[" * 100_000, "standard input:1: JSON that is nested too deeply"),
        (b'{"text": "a", "x": ' + b"9" * 5000 + b"}", "standard input:1: JSON that cannot be used: Exceeds the limit"),
    ],
)
def test_predict_says_what_is_wrong_with_a_line(
    line: bytes, message: str, student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    code, _, errors = run(monkeypatch, capsys, "predict", str(student / "student"))
    assert code == 2
    assert message in errors


@pytest.mark.slow
def test_evaluate_compares_student_and_teacher(
    student: Path, tickets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("limbeck.evaluation.speed._measure_on_disk", lambda model, longest: (1, 1))
    teacher = next(student.glob("stages/01-teacher-*/model"))
    figures = tmp_path / "figures.json"
    code, _, errors = run(monkeypatch, capsys, "evaluate", str(student / "student"), str(tickets["test"]),
                          "--against", str(teacher), "--output", str(figures))  # fmt: skip
    assert code == 0, errors
    assert "Always the most frequent label" in " ".join(errors.split())
    written, expected = read_results(figures), read_results(student)
    assert 0.2 < value(written, "constant", "accuracy") < 0.3
    for system in ("distilled", "teacher"):
        for metric in ("accuracy", "agreement"):
            again = find(written, system, metric)
            before = find(expected, system, metric)
            assert (again and again.interval) == (before and before.interval)


@pytest.mark.slow
def test_report_is_built_again(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "again.html"
    code, _, _ = run(monkeypatch, capsys, "report", str(student), "--output", str(target))
    assert code == 0
    assert target.read_bytes() == (student / "report.html").read_bytes()


@pytest.mark.slow
def test_doctor_finds_nothing_wrong_with_a_good_run(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = run(monkeypatch, capsys, "doctor", str(student / "run.yaml"))
    assert code == 0, errors
    for check in ("data:", "labels:", "tokenizers:", "layers:", "length:", "teacher:", "time:"):
        assert check in errors


def test_help_answers_at_once() -> None:
    """Not a benchmark: a generous bound that a heavy import would break several times over."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import limbeck.cli.app"], check=True)
    assert time.monotonic() - started < 5


@pytest.mark.slow
@pytest.mark.parametrize("bad", [b'{"text": "\\ud800"}\n', b"{broken\n", b"\xff\n", b'{"text": ""}\n'])
def test_answers_before_a_bad_line_are_written(
    bad: bytes, student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = b"my card is lost\nwhat is the rate\n" + bad + b"never answered\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code, out, errors = run(monkeypatch, capsys, "predict", str(student / "student"))
    assert (code, [json.loads(line)["text"] for line in out.splitlines()]) == (
        2, ["my card is lost", "what is the rate"],
    )  # fmt: skip
    assert "standard input:3: " in errors


@pytest.mark.slow
def test_answers_go_to_a_terminal_that_knows_few_characters(
    student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("käse\n".encode())))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    code, _, errors = run(monkeypatch, capsys, "predict", str(student / "student"))
    assert code == 0, errors
    assert json.loads(written.getvalue())["text"] == "käse"


@pytest.mark.slow
def test_an_interrupt_that_a_library_hides_is_one_all_the_same() -> None:
    """safetensors makes a ValueError of a signal that comes while it asks torch for a shape."""
    program = (
        "import os, signal, sys\nfrom limbeck.recipes import catalogue\n"
        "class Half:\n    def __del__(self):\n        raise AttributeError('_ssock')\n"
        "def hides():\n    half = Half()\n    try:\n        os.kill(os.getpid(), signal.SIGNAL)\n"
        "    except KeyboardInterrupt:\n        raise ValueError('could not determine the shape') from None\n"
        "catalogue.recipe_cards = hides\n"
        "sys.argv = ['limbeck', 'recipes']\nfrom limbeck.cli.app import main\nmain()"
    )
    for name in ("SIGTERM", "SIGINT"):
        words = [sys.executable, "-c", program.replace("SIGNAL", name)]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        assert answer.returncode == 130
        assert "nothing that was saved is lost" in answer.stderr
        assert "Traceback" not in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("error", ["EOFError('Ran out of input')", "typer.Abort()"])
def test_the_end_of_a_damaged_file_is_no_interrupt(error: str) -> None:
    """typer makes an interrupt of it, which says that nothing is lost."""
    program = (
        "import sys, typer\nfrom limbeck.recipes import catalogue\n"
        f"def broken():\n    raise {error}\ncatalogue.recipe_cards = broken\n"
        "sys.argv = ['limbeck', 'recipes']\nfrom limbeck.cli.app import main\nmain()"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "interrupted" not in answer.stderr


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_fault() -> None:
    program = "import sys\nsys.argv = ['limbeck', 'recipes']\nfrom limbeck.cli.app import main\nmain()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.parametrize("output", ["no/such/x.jsonl", "a/folder", "n" * 300])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_an_output_is_tried_before_the_work(
    command: str, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """There is no model here: the output is at fault first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "folder").mkdir(parents=True)
    code, _, errors = run(monkeypatch, capsys, command, "nowhere/model", "rows.jsonl", "--output", output)
    assert code == 2
    assert f"{output} could not be written" in errors
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "folder"]
