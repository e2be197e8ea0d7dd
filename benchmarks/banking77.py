"""Banking77: what distillation adds with few labels, and with all of them.

    python benchmarks/banking77.py few             # 10 labels per intent, the other training texts without labels
    python benchmarks/banking77.py few --draw 1    # another choice of the ten
    python benchmarks/banking77.py all --seeds 2   # all 10,003 labels

Three seeds unless told otherwise; the settings of `few` are those of `limbeck demo`. Prints a Markdown table; report
and results.json are in runs/banking77-few-draw0 and runs/banking77-all. On 2 cores about 25 minutes each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from limbeck.cli.terminal import progress, quiet_libraries
from limbeck.demo.setting import demo_run, read_banking77
from limbeck.report.lookup import whole_comparisons
from limbeck.report.markdown import markdown_table
from limbeck.report.tables import comparison_table, headline_table
from limbeck.results.read import read_results
from limbeck.results.record import Results


def all_labels_run(folder: Path, *, seeds: int) -> Any:
    """Return the demo's run with every training label, a longer teacher training, and labels in the recipe."""
    import json

    from limbeck.runs.config import run_config

    sections = demo_run(folder, seeds=seeds).model_dump()
    train = folder / "data" / "all-labels.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in read_banking77("train")), encoding="utf-8")
    sections["data"]["train"] = str(train)
    cheap = {"dropout": 0.0, "freeze_word_embeddings": True}
    fine_tune = {"num_train_epochs": 3, "batch_size": 32, "learning_rate": 4e-4, **cheap}
    sections["teacher"] = {"model": sections["teacher"]["model"], "fine_tune": fine_tune}
    sections["recipe"].update(label_weight=0.5, loss_temperature=2.0)
    sections["training"].update(max_steps=940)  # three epochs
    return run_config(sections)


def markdown(results: Results) -> str:
    """Return headline and comparisons as Markdown tables."""
    compared = comparison_table(results, whole_comparisons(results), "Comparisons")
    return "\n\n".join(markdown_table(table.flat()) for table in (headline_table(results), compared))


def main() -> None:
    """Run one of the two settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", choices=["few", "all"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draw", type=int, default=0, help="number of the choice of labelled rows, for few")
    options = parser.parse_args()
    quiet_libraries()
    from limbeck.runs.flow import run

    command = f"python benchmarks/banking77.py {options.labels} --seeds {options.seeds}"
    if options.labels == "few":
        folder = Path("runs") / f"banking77-few-draw{options.draw}"
        command += f" --draw {options.draw}"
        config = demo_run(folder, seeds=options.seeds, draw=options.draw)
    else:
        folder = Path("runs") / "banking77-all"
        config = all_labels_run(folder, seeds=options.seeds)
    run(config, progress=progress(), command=command)
    print(markdown(read_results(folder)))


if __name__ == "__main__":
    main()
