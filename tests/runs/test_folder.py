"""A folder holds one run; how an API is asked is no part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.errors import RunFolderError
from limbeck.runs.config import run_config
from limbeck.runs.folder import RUN_FILE, record_run


def asked(output: Path, **api: Any) -> Any:
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "large", **api}
    return run_config(
        {
            "task": {"labels": ["yes", "no"]},
            "data": {"train": "rows.jsonl"},
            "teacher": {"api": endpoint, "prompt": {}},
            "student": {"model": "small"},
            "recipe": {"name": "anon"},
            "output": str(output),
        }
    )


PRICES = {"input_usd": 2.5, "output_usd": 10}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"prices": PRICES, "budget_usd": 1}, {"prices": PRICES, "budget_usd": 5}),
        ({}, {"prices": PRICES, "budget_usd": 5}),
        ({"prices": PRICES}, {"prices": PRICES | {"input_usd": 3}}),
        ({}, {"base_url": "http://127.0.0.1:10/v1", "key_env": "ANOTHER_KEY"}),
        ({}, {"concurrency": 2, "requests_per_minute": 60, "tries": 2, "timeout_s": 5}),
    ],
)
def test_a_run_goes_on_when_its_api_is_asked_otherwise(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    record_run(tmp_path, asked(tmp_path, **before), {"train": "a"})
    provenance = yaml.safe_load((tmp_path / RUN_FILE).read_text(encoding="utf-8"))["provenance"]
    record_run(tmp_path, asked(tmp_path, **after), {"train": "a"})
    written = yaml.safe_load((tmp_path / RUN_FILE).read_text(encoding="utf-8"))
    assert written.pop("provenance") == provenance
    assert run_config(written) == asked(tmp_path, **after)


def test_what_changes_the_answers_is_another_run(tmp_path: Path) -> None:
    record_run(tmp_path, asked(tmp_path), {"train": "a"})
    with pytest.raises(RunFolderError, match=r"holds another run: teacher\.api\.model was large, is larger"):
        record_run(tmp_path, asked(tmp_path, model="larger"), {"train": "a"})
    with pytest.raises(RunFolderError, match=r"teacher\.api\.log_probs was 0, is 5\. Set it back"):
        record_run(tmp_path, asked(tmp_path, log_probs=5, budget_tokens=9), {"train": "a"})
    with pytest.raises(RunFolderError, match="the train rows have changed"):
        record_run(tmp_path, asked(tmp_path), {"train": "b"})
