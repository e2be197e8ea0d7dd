"""Who is asked in a search: a teacher by all that its answers depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.prompt_search.config import AskedTeacher
from limbeck.prompt_search.scorers import make_scorer


def identity(folder: Path, **options: Any) -> str:
    api = {"base_url": "http://127.0.0.1:9/v1", "model": "m", **options}
    return make_scorer(AskedTeacher(api=api, samples=3), folder).identity  # type: ignore[arg-type]


def test_an_api_is_another_teacher_with_other_settings(tmp_path: Path) -> None:
    assert identity(tmp_path) == "api chat http://127.0.0.1:9/v1 m samples=3", "as earlier versions called it"
    assert identity(tmp_path, temperature=None).endswith(" samples=3 temperature=None")
    assert identity(tmp_path, max_tokens=99, reasoning_effort="low").endswith(" max_tokens=99 reasoning_effort=low")
    assert identity(tmp_path, timeout_s=7) == identity(tmp_path)
