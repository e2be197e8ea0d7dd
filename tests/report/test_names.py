"""Reports ask for the role of a system, and know no method by name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import limbeck
from limbeck.recipes.catalogue import RECIPES

PACKAGE = Path(limbeck.__file__).parent
NAMES = {*RECIPES, "distilled", "student_before", "fine_tuned", "random_order", "source_model", "most_frequent"}


def test_no_system_is_known_by_its_name() -> None:
    files = [*(PACKAGE / "report").rglob("*.py"), PACKAGE / "cli" / "show.py"]
    constants = {
        (file.name, node.value)
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in NAMES
    }
    assert constants == set()
    for template in (PACKAGE / "report").glob("*.j2"):
        words = set(re.findall(r"\w+", template.read_text(encoding="utf-8")))
        assert words & NAMES <= {"distilled"}, "distilled is a word of English, too"
