"""Lamina's default beside gradient boosting, linear models and RealMLP on 42 real tables that packages carry.

    python benchmarks/many_tables.py prepare DATA [--cache FOLDER]
    python benchmarks/many_tables.py peers [--half choose|report|all] [--names lightgbm ...] [--jobs 1]
    python benchmarks/many_tables.py run --half choose --label LABEL [--splits 3] [--tables ...] [-- TRAIN OPTIONS]
    python benchmarks/many_tables.py report --half choose [--labels LABEL ...] [--out FILE.md]

`prepare` makes the competitors' environment in the cache (1.5 GB) and writes three seeded splits of each table; DATA
holds adult, california_housing, titanic, telco_churn and wine_quality. `peers` and `run` only measure what the cache
does not hold. `run` calls `lamina train` with whatever follows `--`, such as `--set model.width=128`; measure changed
code under another label. Settings are chosen on the half `choose`; the half `report` is for reporting them.
`tabular_suite/` says what each table, competitor and score is.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from tabular_suite import environment, report, runs
from tabular_suite.tables import HALVES


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("step", choices=("prepare", "peers", "run", "report"))
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "lamina-many-tables")
    parser.add_argument("--half", choices=list(HALVES), default="choose")
    parser.add_argument("--tables", nargs="+", default=[])
    parser.add_argument("--names", nargs="+", choices=runs.PEERS, default=list(runs.PEERS))
    parser.add_argument("--label", default="default")
    parser.add_argument("--labels", nargs="+", default=[])
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    mine = sys.argv[1:]
    cut = mine.index("--") if "--" in mine else len(mine)
    choice = parser.parse_args(mine[:cut])
    choice.options = mine[cut + 1 :]
    if unknown := set(choice.tables) - {table.name for table in HALVES[choice.half]}:
        parser.error(f"no such table in the half '{choice.half}': {', '.join(sorted(unknown))}")
    if choice.step == "prepare" and choice.data is None:
        parser.error("prepare needs DATA, the folder that holds adult, california_housing, titanic and so on")
    if choice.label in runs.PEERS:
        parser.error(f"'{choice.label}' is a competitor; take another label")
    return choice


def main() -> None:
    choice = arguments()
    tables = [table for table in HALVES[choice.half] if not choice.tables or table.name in choice.tables]
    choice.cache.mkdir(parents=True, exist_ok=True)
    if choice.step == "prepare":
        script = Path(__file__).parent / "tabular_suite" / "prepare.py"
        subprocess.run([str(environment.python(choice.cache)), str(script), str(choice.cache), choice.data], check=True)
    elif choice.step == "peers":
        runs.peers(choice.cache, environment.python(choice.cache), choice.names, tables, choice.jobs)
    elif choice.step == "run":
        plan = (choice.splits, choice.jobs)
        runs.lamina_fits(choice.cache, tables, choice.label, choice.options, plan)
    else:
        text = report.markdown(choice.cache, tables, choice.labels)
        print(text)
        if choice.out:
            choice.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
