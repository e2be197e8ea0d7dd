"""Functions of a user's own: installed ones, and those in files beside the run file or in the current folder."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.recipes import own_functions
from limbeck.recipes.catalogue import build_recipe, recipe_card
from limbeck.recipes.own_functions import look_beside, own_function

RECIPE = """
from dataclasses import dataclass

from limbeck.losses.term import WeightedTerm
from limbeck.losses.logits import ForwardKL
from limbeck.stages.stage import Stage


@dataclass
class Heat:
    value: "float"


def warm(*, heat: float = {heat}) -> list[Stage]:
    "Soft targets alone."
    return [Stage("warm", (WeightedTerm("soft_targets", ForwardKL(Heat(heat).value)),))]


def cold():
    raise ZeroDivisionError("no heat")


def none_at_all():
    return None


name = "no function"
"""


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A current folder without modules; afterwards no module of a test is known, and the search path is as before."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path, modules = list(sys.path), set(sys.modules)
    yield
    assert sys.path == path
    look_beside(None)
    own_functions._found_in.clear()
    for name in set(sys.modules) - modules:
        if name.startswith("own_"):
            del sys.modules[name]


def write(folder: Path, name: str = "own_recipes.py", heat: float = 3.0, text: str = RECIPE) -> Path:
    """Write a module and return the path of a run file beside it."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text.replace("{heat}", str(heat)), encoding="utf-8")
    return folder / "run.yaml"


def heat_of(name: str = "own_recipes:warm", **arguments: Any) -> float:
    (stage,) = build_recipe(name, arguments, "classification").stages
    return float(stage.terms[0].term.loss_temperature)  # type: ignore[attr-defined]


def test_beside_the_run_file(tmp_path: Path) -> None:
    look_beside(write(tmp_path / "a"))
    assert heat_of() == 3.0
    assert heat_of(heat=5) == 5.0
    assert recipe_card("own_recipes:warm").defaults == {"heat": 3.0}
    look_beside(None)
    assert heat_of() == 3.0, "what is loaded stays so for a run that was checked before"


def test_the_run_file_s_folder_goes_before_the_current_one(tmp_path: Path) -> None:
    write(Path.cwd(), heat=1.0)
    assert heat_of() == 1.0
    look_beside(write(tmp_path / "a", heat=2.0))
    assert heat_of() == 2.0
    look_beside(write(tmp_path / "b", heat=4.0))
    assert heat_of() == 4.0
    look_beside(tmp_path / "elsewhere" / "x" / "run.yaml")
    assert heat_of() == 1.0


def test_a_package_and_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "a", "own_package/parts.py", heat=7.0)
    write(tmp_path / "a", "own_package/__init__.py", text="")
    write(tmp_path / "a", "own_names.py", text="NAME = 'warm'")
    text = "import own_names\nfrom own_package import parts\nwarm = getattr(parts, own_names.NAME)\n"
    look_beside(write(tmp_path / "a", text=text))
    assert heat_of() == 7.0
    assert heat_of("own_package.parts:warm") == 7.0
    write(tmp_path / "b", "own_names.py", text="NAME = 'other'")
    look_beside(write(tmp_path / "b", text="import own_names\nNAME = own_names.NAME\n"))
    with pytest.raises(ConfigError, match="has no function 'warm'"):
        heat_of()
    assert sys.modules["own_names"].NAME == "other"


@pytest.mark.parametrize("module", ["statistics", "torch", "limbeck", "colorsys"])
def test_no_file_stands_in_for_another_module(module: str, tmp_path: Path) -> None:
    look_beside(write(tmp_path / "a", f"{module}.py"))
    with pytest.raises(ConfigError, match=rf"{module} \(.*\) has no function 'warm'") as caught:
        build_recipe(f"{module}:warm", {}, "classification")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "own_nothing:warm",
            r"no module 'own_nothing': it is not installed, and own_nothing\.py is not in",
        ),
        ("own_recipes:worm", r"own_recipes \(.*own_recipes\.py\) has no function 'worm'; did you mean 'warm'\?"),
        ("own_recipes:name", "has no function 'name'"),
        ("own_recipes:cold", r"raised ZeroDivisionError: no heat \(.*own_recipes\.py, line 20\)"),
        ("own_recipes:none_at_all", "returned NoneType, but must return a Recipe or a list of limbeck's Stage"),
        ("own_recipes.more:warm", "cannot import .*: ModuleNotFoundError: .*is not a package"),
        ("own_broken:warm", r"cannot import .*: expected ':' \(.*own_broken\.py, line 1\)"),
        ("own_raising:warm", r"cannot import .*: ValueError: no \(.*own_raising\.py, line 2\)"),
        ("own_leaving:warm", r"cannot import .*: SystemExit: 3 \(.*own_leaving\.py, line 2\)"),
        ("own_missing:warm", r"cannot import .*: ModuleNotFoundError: No module named 'own_other'"),
        ("own_recipes.py:warm", "give the module without its suffix: own_recipes:warm"),
        ("folder/own_recipes:warm", "expected my_module:my_function, the module without folders"),
        ("own_recipes:", "expected my_module:my_function"),
        (":warm", "expected my_module:my_function"),
        ("own_recipes:Heat.value", "expected my_module:my_function"),
        ("..own_recipes:warm", "expected my_module:my_function"),
    ],
)
def test_what_cannot_be_used(name: str, said: str, tmp_path: Path) -> None:
    for module, text in (
        ("broken", "def f()"), ("raising", "\nraise ValueError('no')"), ("leaving", "import sys\nsys.exit(3)"),
        ("missing", "import own_other"),
    ):  # fmt: skip
        write(tmp_path / "a", f"own_{module}.py", text=text)
    look_beside(write(tmp_path / "a"))
    with pytest.raises(ConfigError, match=said):
        build_recipe(name, {}, "classification")


def test_nothing_is_imported_unasked(tmp_path: Path) -> None:
    write(tmp_path / "a", "own_recipes.py", text="raise SystemExit('never')")
    look_beside(tmp_path / "a" / "run.yaml")
    build_recipe("kd", {}, "classification")
    own_function("json:loads", "recipe")
    assert "own_recipes" not in sys.modules


@pytest.mark.slow
def test_a_whole_run(sections: dict[str, Any], tmp_path: Path) -> None:
    """From anywhere; it goes on, and starts again from the file in its folder once the module is there."""
    from limbeck.runs.config import load_run_file
    from limbeck.runs.flow import run
    from limbeck.types import SilentProgress

    file = write(tmp_path / "a")
    sections["recipe"] = {"name": "own_recipes:warm", "heat": 2.5}
    file.write_text(json.dumps(sections), encoding="utf-8")
    first = run(load_run_file(file), progress=SilentProgress())
    output = Path(sections["output"])
    shutil.rmtree(output / "predictions")
    again = run(load_run_file(file), progress=SilentProgress())
    assert first.figures == again.figures
    assert "name: own_recipes:warm" in (output / "run.yaml").read_text(encoding="utf-8")
    assert load_run_file(output / "run.yaml").recipe.arguments == {"heat": 2.5}  # type: ignore[union-attr]
    own_functions._forget(file.parent)
    with pytest.raises(ConfigError, match=r"run\.yaml:\d+: cannot import recipe .*: there is no module"):
        load_run_file(output / "run.yaml")
    write(output)
    load_run_file(output / "run.yaml")
