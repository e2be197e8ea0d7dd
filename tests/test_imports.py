"""Imports run one way (docs/architecture.md): every arrow in src/limbeck, read off the syntax trees.

Imports inside functions and under ``TYPE_CHECKING`` count as well: a layer that needs a later one is in the
wrong place, whenever it asks for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

SOURCE = Path(__file__).parents[1] / "src"

LAYERS = [
    {"errors"},
    {"types", "results", "atomic", "ranks"},
    {"formatting", "intact"},
    {"numerics"},
    {"models"},
    {"losses", "teachers", "students", "data", "sequences"},
    {"stages", "evaluation"},
    {"recipes", "report"},
    {"tasks"},
    {"runs"},
    {"alerts", "filter", "augment", "prompt_search", "demo"},
    {"cli"},
    {"limbeck", "__main__"},  # the package itself, which offers `distill`, and `python -m limbeck`
]
"""A module may import from the layers above its own line, and from its own folder."""

REPORT_READS = {
    "atomic",
    "errors",
    "formatting",
    "results",
}

TORCH_AT_START = {
    "numerics", "models", "losses", "teachers", "students", "data", "sequences", "stages", "evaluation",
    "limbeck.tasks.generation.context", "limbeck.tasks.generation.checks", "limbeck.tasks.generation.memory",
    "limbeck.tasks.generation.training", "limbeck.tasks.generation.writers",
}  # fmt: skip
TORCH_NEVER = {
    "errors",
    "results",
    "formatting",
    "atomic",
    "recipes",
    "report",
    "demo",
    "cli",
}

HOMES = {
    "transformers": {"models", "students", "stages", "limbeck.cli.terminal"},
    "peft": {"students"},
    "bitsandbytes": {"students"},
    "huggingface_hub": {"models", "report"},
    "accelerate": {"ranks"},
    "safetensors": {"models", "stages", "runs"},
    "datasets": {"data"},
    "pyarrow": {"data"},
    "sklearn": {"evaluation", "models"},
    "scipy": {"evaluation", "models", "numerics"},
    "psutil": {"numerics"},
    "filelock": {"runs", "limbeck.teachers.chat.journal"},
    "aiohttp": {"limbeck.teachers.chat.transport"},
    "yaml": {"tasks", "runs"},
    "lm_eval": {"limbeck.evaluation.generation.harness"},
    "vllm": {"limbeck.models.vllm_engine"},
    "matplotlib": {"report"},
    "jinja2": {"report", "data"},
    "markupsafe": {"report"},
    "rich": {"cli"},
    "typer": {"cli"},
}
"""Where each library may be imported: folders, or single modules."""

STARTS_LIGHT = ["limbeck", "limbeck.cli.app", "limbeck.report"]
HEAVY = {
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "datasets",
    "sklearn",
    "scipy",
    "matplotlib",
    "lm_eval",
    "vllm",
}


@dataclass(frozen=True)
class Import:
    """One import statement's target, as a module's full name."""

    importer: str
    imported: str
    line: int
    when: Literal["start", "call", "typing"]
    """On import of the module, when a function is called, or for type checkers only."""

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def folder(module: str) -> str:
    """Name of the layer's folder or file: ``losses`` for ``limbeck.losses.hints.hidden``."""
    return module.split(".")[1] if "." in module else "limbeck"


def library(module: str) -> str:
    return module.split(".")[0]


def level(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if folder(module) in names)


def imports_in(text: str, module: str, known: Iterable[str], *, package: bool = False) -> list[Import]:
    """Return every import of a source text; `known` modules tell ``from package import module`` from a name."""
    known = set(known)
    found: list[Import] = []

    def visit(node: ast.AST, when: Literal["start", "call", "typing"]) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(module, alias.name, node.lineno, when) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = module.split(".")
                base = parts[: len(parts) - node.level + package]
                origin = ".".join([*base, *([node.module] if node.module else [])])
            targets = {f"{origin}.{a.name}" if f"{origin}.{a.name}" in known else origin for a in node.names}
            found.extend(Import(module, target, node.lineno, when) for target in sorted(targets))
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.body:
                visit(child, "typing")
            for child in node.orelse:
                visit(child, when)
        else:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and when == "start":
                when = "call"
            for child in ast.iter_child_nodes(node):
                visit(child, when)

    visit(ast.parse(text), "start")
    return found


def modules() -> dict[str, Path]:
    """Every module of the package with its file."""
    files = sorted((SOURCE / "limbeck").rglob("*.py"))
    names = [".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return dict(zip(names, files, strict=True))


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    files = modules()
    return [
        found
        for name, file in files.items()
        for found in imports_in(file.read_text("utf-8"), name, files, package=file.stem == "__init__")
    ]


def ours(imports: Iterable[Import]) -> Iterator[Import]:
    """Imports of another folder of limbeck."""
    for found in imports:
        if library(found.imported) == "limbeck" and folder(found.imported) != folder(found.importer):
            yield found


def arrows_backwards(imports: Iterable[Import]) -> list[str]:
    return [
        f"{found}: {folder(found.imported)}/ is a later layer than {folder(found.importer)}/"
        for found in ours(imports)
        if level(found.imported) > level(found.importer)
    ]


def arrows_between_siblings(imports: Iterable[Import]) -> list[str]:
    return [
        f"{found}: siblings meet in types.py, or the caller hands one to the other"
        for found in ours(imports)
        if level(found.imported) == level(found.importer)
    ]


def not_at_home(imports: Iterable[Import], name: str, homes: set[str]) -> list[str]:
    return [
        f"{found}: {name} belongs in {', '.join(sorted(homes))} only"
        for found in imports
        if library(found.imported) == name and not {folder(found.importer), found.importer} & homes
    ]


def cycle(imports: Iterable[Import]) -> list[str]:
    """Return the modules of one import cycle at module level, or nothing."""
    targets: dict[str, set[str]] = {}
    for found in imports:
        if found.when == "start" and library(found.imported) == "limbeck":
            targets.setdefault(found.importer, set()).add(found.imported)
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(targets.get(module, ())):
            if around := search(target, [*path, module]):
                return around
        done.add(module)
        return []

    return next((around for module in sorted(targets) if (around := search(module, []))), [])


def loaded_by(imports: Iterable[Import], start: str) -> dict[str, str]:
    """Return what importing `start` loads, each with the module that asks for it first."""
    asked: dict[str, list[str]] = {}
    for found in imports:
        if found.when == "start":
            asked.setdefault(found.importer, []).append(found.imported)
    loaded = {start: ""}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        parents = [module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1)]
        for target in [*asked.get(module, []), *parents]:
            if target not in loaded:
                loaded[target] = module
                waiting.append(target)
    return loaded


def test_every_folder_has_its_layer() -> None:
    placed = set().union(*LAYERS)
    missing = {folder(name) for name in modules()} - placed
    assert not missing, f"place {sorted(missing)} in LAYERS and in docs/architecture.md"
    gone = placed - {folder(name) for name in modules()}
    assert not gone, f"{sorted(gone)} are layers without code"


def test_no_module_imports_a_later_layer(imports: list[Import]) -> None:
    assert arrows_backwards(imports) == []


def test_siblings_do_not_import_each_other(imports: list[Import]) -> None:
    assert arrows_between_siblings(imports) == []


def kind_of(module: str) -> str:
    """Name of the kind of task whose folder a module is in: ``ranking`` for ``limbeck.tasks.ranking.rows``."""
    parts = module.split(".")
    return parts[2] if len(parts) > 3 and parts[1] == "tasks" else ""


def arrows_between_kinds(imports: Iterable[Import]) -> list[str]:
    return [
        f"{found}: a kind of task knows itself and what tasks/ shares, which knows no kind"
        for found in imports
        if folder(found.importer) == "tasks" and kind_of(found.imported) not in ("", kind_of(found.importer))
    ]


def test_kinds_of_task_do_not_import_each_other(imports: list[Import]) -> None:
    assert any(kind_of(found.importer) for found in imports)
    assert arrows_between_kinds(imports) == []


def test_the_report_reads_result_records_only(imports: list[Import]) -> None:
    mine = [found for found in ours(imports) if folder(found.importer) == "report"]
    others = [str(found) for found in mine if folder(found.imported) not in REPORT_READS]
    assert others == [], "report/ must work from results.json alone"


def test_no_import_cycles(imports: list[Import]) -> None:
    assert cycle(imports) == [], "these modules import each other"


def test_torch_is_loaded_with_the_tensor_layers_only(imports: list[Import]) -> None:
    at_start = [i for i in imports if i.when == "start"]
    assert not_at_home(at_start, "torch", TORCH_AT_START) == []


def test_layers_without_tensors_never_ask_for_torch(imports: list[Import]) -> None:
    asked = [str(i) for i in imports if library(i.imported) == "torch" and folder(i.importer) in TORCH_NEVER]
    assert asked == [], "these layers work without torch, inside functions too"


def test_types_know_torch_for_annotations_only(imports: list[Import]) -> None:
    found = [i for i in imports if i.importer == "limbeck.types" and library(i.imported) == "torch"]
    assert {i.when for i in found} == {"typing"}


@pytest.mark.parametrize("name", HOMES)
def test_a_library_stays_at_home(imports: list[Import], name: str) -> None:
    assert any(library(i.imported) == name for i in imports), f"{name} is no longer used: drop it here and elsewhere"
    assert not_at_home(imports, name, HOMES[name]) == []


@pytest.mark.parametrize("start", STARTS_LIGHT)
def test_starts_without_heavy_libraries(imports: list[Import], start: str) -> None:
    loaded = loaded_by(imports, start)
    heavy = {name: asker for name, asker in loaded.items() if library(name) in HEAVY}
    assert heavy == {}, f"importing {start} loads these (library: who asks for it)"


PLANTED = """
from __future__ import annotations

from typing import TYPE_CHECKING

import torch

import limbeck.numerics.divergences
from limbeck import errors
from limbeck.losses.logits import ForwardKL

if TYPE_CHECKING:
    from limbeck.stages.trainer import DistillTrainer


def later() -> None:
    import rich

    from ..losses import labels
    from .records import BadRow
"""


@pytest.fixture
def planted() -> list[Import]:
    """A module of data/ that does what it must not."""
    return imports_in(PLANTED, "limbeck.data.planted", modules())


def test_the_checker_sees_every_import_and_when_it_happens(planted: list[Import]) -> None:
    assert {(i.imported, i.when) for i in planted if library(i.imported) not in ("__future__", "typing")} == {
        ("torch", "start"),
        ("limbeck.numerics.divergences", "start"),
        ("limbeck.errors", "start"),
        ("limbeck.losses.logits", "start"),
        ("limbeck.stages.trainer", "typing"),
        ("rich", "call"),
        ("limbeck.losses.labels", "call"),
        ("limbeck.data.records", "call"),
    }


def test_the_checker_catches_planted_arrows(planted: list[Import]) -> None:
    (backwards,) = arrows_backwards(planted)
    assert backwards == (
        "limbeck.data.planted (line 13) imports limbeck.stages.trainer: stages/ is a later layer than data/"
    )
    assert [line.split(":")[0] for line in arrows_between_siblings(planted)] == [
        "limbeck.data.planted (line 10) imports limbeck.losses.logits",
        "limbeck.data.planted (line 19) imports limbeck.losses.labels",
    ]
    assert not_at_home(planted, "rich", HOMES["rich"]) == [
        "limbeck.data.planted (line 17) imports rich: rich belongs in cli only"
    ]


def test_the_checker_catches_a_planted_cycle(planted: list[Import]) -> None:
    back = imports_in("from limbeck.data import planted", "limbeck.losses.logits", ["limbeck.data.planted"])
    assert cycle([*planted, *back]) == ["limbeck.data.planted", "limbeck.losses.logits", "limbeck.data.planted"]
    lazy = imports_in("def f():\n    from limbeck.data import planted", "limbeck.losses.logits", [])
    assert cycle([*planted, *lazy]) == []


def test_the_checker_follows_imports_to_a_heavy_library(planted: list[Import]) -> None:
    light = imports_in("from limbeck.data import planted", "limbeck.light", ["limbeck.data.planted"])
    assert loaded_by([*planted, *light], "limbeck.light")["torch"] == "limbeck.data.planted"
