"""The documentation says what is so: its links, paths, commands, run files and Python are tried here."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")),
        *(ROOT / "docs").rglob("*.md"),
    ]
)
EVERY_PAGE = pytest.mark.parametrize("page", PAGES)

SHELL = {"", "sh", "bash", "console"}
RUN_KEYS = [{"data", "teacher", "student", "recipe"}, {"task", "data", "backbone", "output"}]
"""A YAML block with all keys of one of these is a whole run file."""

_BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```\s*$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?:src|docs|tests|benchmarks|examples)/[\w./*-]*")
_BEFORE_A_COMMAND = {"&&", "||", "|", ";", "--no-python", "$"}


class Block(NamedTuple):
    language: str
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """Every fenced code block."""
    return [Block(m["language"], m["text"], text.count("\n", 0, m.start()) + 1) for m in _BLOCK.finditer(text)]


def prose(text: str) -> str:
    """The page without its code blocks."""
    return _BLOCK.sub("", text)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def headings(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links that lead to no file, or to no heading in one."""
    broken = set()
    for target in _LINK.findall(prose(text)):
        name, _, anchor = target.partition("#")
        if re.match(r"\w+:", target):
            continue
        if not (folder / name).exists():
            broken.add(name)
        elif anchor and anchor not in headings((folder / name).read_text(encoding="utf-8") if name else text):
            broken.add(target)
    return sorted(broken)


def missing_paths(text: str) -> list[str]:
    """Paths in backticks that are not in the repository; a ``*`` must match something."""
    paths = {word for word in _INLINE.findall(prose(text)) if _PATH.fullmatch(word)}
    return sorted(path for path in paths if not any(ROOT.glob(path.rstrip("/"))))


def command_lines(text: str) -> Iterator[list[str]]:
    """The words after ``limbeck``, wherever it is called in a shell block or in backticks."""
    lines = [line for block in blocks(text) if block.language in SHELL for line in block.text.splitlines()]
    for line in [*lines, *_INLINE.findall(prose(text))]:
        try:
            words = shlex.split(re.sub(r"(&&|\|\||[|;()])", r" \1 ", line), comments=True)
        except ValueError:
            continue
        for number, word in enumerate(words):
            if word == "limbeck" and (number == 0 or words[number - 1] in _BEFORE_A_COMMAND) and words[number + 1 :]:
                rest = words[number + 1 :]
                end = next((i for i, w in enumerate(rest) if w in _BEFORE_A_COMMAND), len(rest))
                yield rest[:end]


def unknown_commands(text: str) -> list[str]:
    """Calls of ``limbeck`` with a command or an option that there is not. Nothing is run."""
    import typer

    from limbeck.cli.app import app

    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    faults = []
    for words in command_lines(text):
        name, *arguments = words
        if name.startswith("-") or name.isupper():
            continue
        if name not in commands:
            faults.append(f"limbeck {name}: no such command")
            continue
        command = commands[name]
        if (within := getattr(command, "commands", None)) and arguments and not arguments[0].startswith("-"):
            name = f"{name} {arguments[0]}"
            if arguments[0] not in within:
                faults.append(f"limbeck {name}: no such command")
                continue
            command, arguments = within[arguments[0]], arguments[1:]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        given = [word.split("=")[0] for word in arguments if word.startswith("--")]
        faults += [f"limbeck {name}: no such option {option}" for option in given if option not in known]
    return faults


def run_files(text: str) -> list[Block]:
    """YAML blocks that are whole run files."""
    found = []
    for block in blocks(text):
        if block.language in ("yaml", "yml"):
            values = yaml.safe_load(block.text)
            if isinstance(values, dict) and any(values.keys() >= keys for keys in RUN_KEYS):
                found.append(block)
    return found


@EVERY_PAGE
def test_links_lead_somewhere(page: str) -> None:
    assert broken_links(read(page), (ROOT / page).parent) == []


@EVERY_PAGE
def test_paths_exist(page: str) -> None:
    assert missing_paths(read(page)) == []


@EVERY_PAGE
def test_commands_and_their_options_exist(page: str) -> None:
    assert unknown_commands(read(page)) == []


@EVERY_PAGE
def test_python_compiles(page: str) -> None:
    for block in blocks(read(page)):
        if block.language in ("python", "py"):
            compile("\n" * block.line + block.text, page, "exec")


@pytest.mark.parametrize("page", [page for page in PAGES if run_files(read(page))])
def test_run_files_are_accepted(page: str, tmp_path: Path) -> None:
    from limbeck.runs.config import load_run_file

    for block in blocks(read(page)):
        if block.language == "python" and (named := re.match(r"# (\w+\.py)\n", block.text)):
            (tmp_path / named[1]).write_text(block.text, encoding="utf-8")
    for block in run_files(read(page)):
        file = tmp_path / f"line-{block.line}.yaml"
        file.write_text(block.text, encoding="utf-8")
        load_run_file(file)


@pytest.mark.parametrize("example", sorted(p.name for p in (ROOT / "examples").glob("*.yaml")))
def test_examples_are_accepted(example: str) -> None:
    from limbeck.runs.config import load_run_file

    load_run_file(ROOT / "examples" / example)


@pytest.mark.parametrize("experiment", sorted(p.name for p in (ROOT / "benchmarks" / "ml_ipd").glob("*.yaml")))
def test_experiments_are_accepted(experiment: str, tmp_path: Path) -> None:
    from limbeck.runs.config import load_run_file
    from limbeck.tasks.ranking.config import LanguageRunConfig

    text = read(f"benchmarks/ml_ipd/{experiment}")
    for placeholder in ("DATA", "BACKBONE", "OUTPUT"):
        text = text.replace(placeholder, str(tmp_path / placeholder.lower()))
    file = tmp_path / experiment
    file.write_text(text, encoding="utf-8")
    assert isinstance(load_run_file(file), LanguageRunConfig)


def test_the_tutorial_on_languages_shows_its_example() -> None:
    from limbeck.runs.config import load_run_file
    from limbeck.tasks.ranking.config import LanguageRunConfig

    assert isinstance(load_run_file(ROOT / "examples" / "languages.yaml"), LanguageRunConfig)
    (shown,) = run_files(read("docs/tutorials/languages.md"))
    assert shown.text == read("examples/languages.yaml")


def test_the_page_on_writing_students_names_the_steps_of_its_script() -> None:
    page, script = read("docs/results/generation.md"), read("benchmarks/generation/models.py")
    for model in ("teacher", "student"):
        (default,) = re.findall(rf'"--{model}-steps", type=int, default=(\d+)', script)
        assert re.findall(rf"--{model}-steps (\d+)", page + script) == [default, default]
        (row,) = re.findall(rf"^\| {model}[\w ]* \| .*?([\d,]+) steps \|$", page, re.MULTILINE)
        assert row.replace(",", "") == default


def test_every_recipe_is_in_the_list() -> None:
    from limbeck.recipes.catalogue import RECIPES

    rows = re.findall(r"^\| `(\w+)` \|", read("docs/recipes.md"), re.MULTILINE)
    assert rows == list(RECIPES)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.match(r"[\w-]+", line)[0] for group in groups for line in group}  # type: ignore[index]
    rows = {m[1] for m in re.finditer(r"^\| `([\w-]+)` ", read("docs/dependencies.md"), re.MULTILINE)}
    assert declared - rows == set(), "give each a row in docs/dependencies.md"
    assert rows - declared == set(), "these are no longer in pyproject.toml"


def test_the_table_of_layer_maps_is_what_the_code_does() -> None:
    from limbeck.numerics.layer_maps import LAYER_MAPS, choose_layers

    rows = re.findall(r"^\| `(\w+)` \| ([\d ]+) \| ([\d ]+) \| ([\d ]+) \|", read("docs/conventions.md"), re.MULTILINE)
    assert [name for name, *_ in rows] == list(LAYER_MAPS)
    for name, *cells in rows:
        for cell, (keep, of) in zip(cells, [(6, 12), (3, 12), (2, 6)], strict=True):
            assert choose_layers(name, teacher_layers=of, keep=keep) == tuple(map(int, cell.split())), (name, keep, of)


PLANTED = """
See [here](no-such-page.md), [below](#no-such-heading), [how](README.md#your-own-texts), [why](README.md#no-such) and
[there](https://example.org), `src/limbeck/no_such.py`, `src/limbeck/*.py`.

```sh
FLAG=1 && limbeck destill run.yaml | limbeck predict folder --topp 3  # limbeck nothing
pip install limbeck
```

```yaml
data: {train: a.jsonl}
teacher: {model: a/b}
student: {modle: c/d}
recipe: pkd
output: runs/x
```

Type `limbeck recieps pkd`, or `limbeck report FOLDER`, or `limbeck prompts tun`, or `limbeck prompts tune a --fast`.
"""


def test_the_checks_find_planted_faults(tmp_path: Path) -> None:
    from limbeck.errors import ConfigError
    from limbeck.runs.config import load_run_file

    assert broken_links(PLANTED, ROOT) == ["#no-such-heading", "README.md#no-such", "no-such-page.md"]
    assert missing_paths(PLANTED) == ["src/limbeck/no_such.py"]
    assert unknown_commands(PLANTED) == [
        "limbeck destill: no such command",
        "limbeck predict: no such option --topp",
        "limbeck recieps: no such command",
        "limbeck prompts tun: no such command",
        "limbeck prompts tune: no such option --fast",
    ]
    (block,) = run_files(PLANTED)
    file = tmp_path / "planted.yaml"
    file.write_text(block.text, encoding="utf-8")
    with pytest.raises(ConfigError, match="modle"):
        load_run_file(file)
