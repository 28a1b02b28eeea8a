"""What a person sees in the terminal: progress, tables, sentences."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from lamina.evaluate.baselines import LABELS
from lamina.evaluate.metrics import label
from lamina.evaluate.report import number
from lamina.schema import Quarantined, Row
from lamina.tasks._supervised import external_report as elsewhere

FIRST = 5
MOST = 40  # columns of a table shown

PIPED = None if sys.stdout.isatty() else 120  # a pipe has no width of its own
out = Console(highlight=False, soft_wrap=False, width=PIPED)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    out.print(escape(text))


def training(rows: Iterator[Row], folder: Path, quiet: bool) -> Row:
    """Pull the rows of a run, showing where it stands; returns its result."""
    console = err if quiet else out
    last: Row = {}
    live: Live | None = None
    try:
        for last in rows:
            at = last["at"]
            if at in ("step", "epoch") and console.is_terminal:
                if live is None:
                    live = Live(console=console, refresh_per_second=8, transient=True)
                    live.start()
                live.update(_progress(last))
            elif live is not None and at not in ("step", "epoch"):
                live.stop()
                live = None
            _tell(console, last, folder, quiet)
    finally:
        if live is not None:
            live.stop()
    return {k: v for k, v in last.items() if k != "at"}


def _tell(console: Console, row: Row, folder: Path, quiet: bool) -> None:
    at = row["at"]
    for note in row.get("notes", ()):
        console.print(f"[yellow]note[/] {escape(str(note))}")
    if at == "collect" and not quiet:
        parts = f"{row['train']:,} to train, {row['validation']:,} to validate, {row['test']:,} to test"
        console.print(f"[bold]{row['used']:,} rows[/]: {parts}; {row['quarantined']:,} set aside")
        console.print(columns([c.model_dump(mode="json") for c in row["schema"].columns]))
    elif at == "design" and not quiet:
        console.print(layers(row["layers"]))
        cfg = row["train"]
        until = f"{cfg.budget:g} s" if cfg.budget else f"{cfg.epochs} epochs"
        console.print(
            f"Training [bold]{row['kind']}[/] for {until} of batches of {cfg.batch_size} on {cfg.device} "
            f"({cfg.precision}, {cfg.threads} thread{'s' if cfg.threads != 1 else ''}), into {escape(str(folder))}"
        )
    elif at == "epoch" and not console.is_terminal:
        console.print(_line(row), soft_wrap=True)
    elif at == "end" and not quiet:
        best = f"Best after epoch {row['best_epoch']} ({row['best_weights']} weights)"
        console.print(f"{best}, {row['elapsed']:.1f} s: {row['done']}")


def _line(row: Row) -> str:
    return (
        f"epoch {row['epoch']}  loss {row['loss']:.4f}  validation {row['validation_loss']:.4f}  "
        f"{label(row['score_name'])} {number(row['score'])}  {row['rate']:,.0f} steps/s  {row['seconds']:.1f} s  "
        f"left {_time(row['left'])}{'  *' if row['best'] else ''}"
    )


def _progress(row: Row) -> Table:
    line = Table.grid(padding=(0, 2))
    done = row["seconds"] / max(row["seconds"] + row["left"], 1e-9)
    cells: list[Any] = [
        ProgressBar(total=1.0, completed=done, width=24),
        f"epoch {row['epoch']}",
        f"loss {row['loss']:.4f}",
    ]
    if row["at"] == "epoch":
        cells += [f"validation {row['validation_loss']:.4f}", f"{label(row['score_name'])} {number(row['score'])}"]
    cells += [f"{row['rate']:,.0f} steps/s", f"left {_time(row['left'])}"]
    line.add_row(*cells)
    return line


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _table(*heads: str, right: Sequence[int] = (), bend: Sequence[int] = ()) -> Table:
    """A table of one line per row; the columns in `bend` give way, with an ellipsis, when the terminal is narrow."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for i, head in enumerate(heads):
        ratio = 1 if i in bend else None
        table.add_column(
            head, justify="right" if i in right else "left", overflow="ellipsis", no_wrap=True, ratio=ratio
        )
    table.expand = bool(bend)
    return table


def columns(found: list[Row]) -> Table:
    """Columns with their kinds and what was seen of them."""
    table = _table("column", "kind", "missing", "distinct", "examples", "note", right=(2, 3), bend=(4, 5))
    for c in found[:MOST]:
        missing = f"{c['missing']:,}" if c["missing"] else ""
        shown = escape(", ".join(_short(e, 14) for e in c["examples"]))
        table.add_row(escape(_short(c["name"], 24)), c["kind"], missing, f"{c['distinct']:,}", shown, escape(c["note"]))
    if len(found) > MOST:
        table.add_row(f"and {len(found) - MOST:,} more")
    return table


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def layers(found: list[Row]) -> Table:
    """The network, layer by layer, with its number of parameters."""
    table = _table("layer", "output", "parameters", right=(1, 2))
    for layer in found:
        table.add_row(
            escape(layer["layer"]), layer["output"], f"{layer['parameters']:,}" if layer["parameters"] else ""
        )
    table.add_section()
    table.add_row("[bold]all[/]", "", f"[bold]{sum(layer['parameters'] for layer in found):,}[/]")
    return table


def result(found: Row) -> None:
    """Scores beside the baselines, the verdict, and where everything is."""
    names = [name for name, value in found["scores"].items() if value is not None]
    table = _table(
        "score on test rows", "network", *(LABELS.get(str(b), str(b)) for b in found["baselines"]), right=range(1, 9)
    )
    for name in names:
        others = (scores.get(name) for scores in found["baselines"].values())
        table.add_row(label(name), f"[bold]{number(found['scores'][name])}[/]", *(_cell(v) for v in others))
    out.print(table)
    if made := found.get("made_rows", {}).get("trained_on"):
        learned = _table("a classifier that learned from", "accuracy", "ROC AUC", "F1", right=range(1, 4))
        for name, told in {"real": "real rows", "made": "the network's rows", "smote": "SMOTE's rows"}.items():
            learned.add_row(told, *(_cell(made[name][metric]) for metric in ("accuracy", "roc_auc", "f1")))
        out.print(learned)
    if found.get("also"):
        judged_also(found)
    out.print(escape(found["verdict"]))
    if "critic" in found:
        out.print(escape(found["critic"]["told"]))
    out.print()
    out.print(f"report   {escape(found['report'])}", soft_wrap=True)
    out.print(f"bundle   {escape(found['bundle'])}", soft_wrap=True)
    if found["task"] == "generation":
        out.print(f"make     lamina generate {escape(found['bundle'])} -n 64 -o made", soft_wrap=True)
    if "critic" in found:
        out.print(f"score    lamina predict {escape(found['bundle'])} DATA -o scores.csv", soft_wrap=True)
    out.print(f"serve    lamina serve {escape(found['bundle'])}", soft_wrap=True)
    out.print(f"[dim]{found['seconds']:.1f} s in all[/]")


def judged_also(found: Row) -> None:
    """Scores on other data below those of the test rows, and what is to be said of them."""
    primary = next(iter(found["scores"]))
    names = elsewhere.shown(found["scores"], primary)
    table = _table("on other data", "rows", *map(label, names), "difference", right=range(1, 7))
    test = (number(found["parts"]["test"]), *(_cell(found["scores"][name]) for name in names))
    table.add_row("[bold]test rows[/]", *test, "")
    for row in found["also"]:
        values = (_cell(row["scores"].get(name)) for name in names)
        table.add_row(
            escape(_short(row["name"], 40)),
            number(row["rows"]),
            *values,
            elsewhere.signed(row["difference"].get(primary)),
        )
    out.print(table)
    for row in found["also"]:
        if told := row.get("verdict") or ("" if row["scores"] else f"{row['name']}: {row['told']}"):
            out.print(escape(told), soft_wrap=True)


def _cell(value: float | None) -> str:
    return "" if value is None else number(value)


def scores(found: Row, lost: Sequence[Quarantined]) -> None:
    table = _table("score", "value", right=(1,))
    for name, value in found["scores"].items():
        table.add_row(label(name), _cell(value))
    out.print(table)
    out.print(f"{found['rows']:,} rows judged, {found['quarantined']:,} set aside")
    quarantine([q._asdict() for q in lost])


def quarantine(lost: Sequence[Row]) -> None:
    """The first few rows that could not be used, one line each."""
    for q in lost[:FIRST]:
        where = f"{q['file']}:{q['line']}" if q["line"] else q["file"]
        out.print(f"[yellow]set aside[/] {escape(where)} {escape(q['column'])}: {escape(q['reason'])}", soft_wrap=True)
    if len(lost) > FIRST:
        out.print(f"[yellow]set aside[/] and {len(lost) - FIRST:,} more")


def predicted(found: Row) -> None:
    told = f"{found['rows']:,} answers"
    if "horizon" in found:
        series, ahead = found["rows"] // found["horizon"], found["horizon"]
        told = f"{ahead:,} step{'s' if ahead > 1 else ''} ahead" + (f" of {series:,} series" if series > 1 else "")
    out.print(f"{told} in {escape(found['output'])}", soft_wrap=True)
    for note in found.get("notes", ()):
        out.print(escape(note), soft_wrap=True)
    if found["quarantined"]:
        out.print(
            f"{found['quarantined']:,} rows could not be read: {escape(found['quarantine_file'])}", soft_wrap=True
        )
        quarantine(found["quarantine"])


def made(found: Row) -> None:
    """How many pictures or rows were made, where they are, and where it is said that they were made."""
    of = ", ".join(f"{escape(name)} {count:,}" for name, count in list(found["labels"].items())[: FIRST * 2])
    more = len(found["labels"]) - FIRST * 2
    classes = f" ({of}{f' and {more:,} classes more' if more > 0 else ''})" if of else ""
    out.print(f"{found['made']:,} {found['of']} in {escape(found['output'])}{classes}", soft_wrap=True)
    if "tried" in found:
        out.print(f"Of {found['tried']:,} rows tried, these are the first that meet the conditions.")
    if "sheet" in found:
        out.print(f"sheet    {escape(found['sheet'])}", soft_wrap=True)
        out.print(f"index    {escape(found['index'])} (file, label, seed)", soft_wrap=True)
    if found["of"] == "pictures":
        out.print("Each PNG says in its metadata that it was made, by which bundle and from which seed.")
    elif found["marked"] == found["output"]:
        out.print("The metadata of the file say that its rows were made, by which bundle and from which seed.")
    else:
        out.print(
            f"The rows themselves do not say that they were made; {escape(found['marked'])} does.", soft_wrap=True
        )


def explained(found: Row) -> None:
    """The best answers to each picture, and where the drawing is."""
    for one in found["pictures"]:
        answers = ", ".join(
            f"{name} {chance:.1%}" if name else number(chance) for name, chance in one["answers"].items()
        )
        out.print(f"{escape(one['file'])}  {escape(answers)}", soft_wrap=True)
    out.print(f"Wrote {escape(found['output'])}.", soft_wrap=True)


def looked(found: Row) -> None:
    if "bundle" in found:
        of = f" of '{escape(found['target'])}'" if found["target"] else ""
        out.print(f"[bold]{escape(found['bundle'])}[/]  {found['task']}{of} by {found['model']}")
        if found["classes"]:
            shown = ", ".join(_short(name, 24) for name in found["classes"][: FIRST * 2])
            more = f" and {len(found['classes']) - FIRST * 2:,} more" if len(found["classes"]) > FIRST * 2 else ""
            out.print(f"{len(found['classes']):,} classes: {escape(shown)}{more}", soft_wrap=True)
        files = _table("file", "bytes", "what it is", right=(1,))
        for file in found["files"]:
            files.add_row(file["path"], f"{file['bytes']:,}", file["role"])
        out.print(files)
    else:
        out.print(f"[bold]{found['rows']:,} rows[/] in {escape(found['source'])}, {found['quarantined']:,} set aside")
    out.print(columns(found["columns"]))
    for album in found.get("pictures", []):
        pictures(album)
    for note in found.get("notes", ()):
        out.print(f"[yellow]note[/] {escape(note)}")
    quarantine(found.get("quarantine", []))


def pictures(found: Row) -> None:
    """A column of pictures: counts by class and part, sizes, colours, what is broken, what is there twice."""
    parts = sorted({part for c in found["classes"] for part in c["parts"]}, key=lambda part: (part == "test", part))
    if 1 < len(found["classes"]) <= found["pictures"] // 2:
        heads = ("class", *(parts if len(parts) > 1 else ()), "pictures")
        table = _table(*heads, right=range(1, len(heads)))
        for c in found["classes"][:MOST]:
            by_part = [f"{c['parts'].get(part, 0):,}" for part in heads[1:-1]]
            table.add_row(escape(_short(c["class"], 40)), *by_part, f"{c['all']:,}")
        if len(found["classes"]) > MOST:
            table.add_row(f"and {len(found['classes']) - MOST:,} more")
        out.print(table)
    name, of = escape(found["column"]), found["pictures"]
    looked = "" if found["looked"] >= of else f" ({found['looked']:,} of them looked at)"
    formats = ", ".join(f"{count:,} {form}" for form, count in found["formats"].items())
    out.print(f"[bold]{name}[/]  {of:,} pictures{looked}: {formats or 'none can be decoded'}")
    if found["width"]:
        for side in ("width", "height"):
            low, middle, high = found[side]
            out.print(
                f"  {side:<8}{low:,} px" if low == high else f"  {side:<8}{low:,} to {high:,} px, median {middle:,}"
            )
        mixed = f"{found['colour']:,} in colour, {found['grey']:,} grey"
        out.print(f"  colours {mixed if found['colour'] and found['grey'] else 'all' if found['colour'] else 'grey'}")
    twice = found["twice"]
    if twice["groups"]:
        which = f"{twice['across_parts']:,} across parts, {twice['different_labels']:,} with different labels"
        out.print(f"[yellow]twice[/]   {twice['copies']:,} pictures are exact copies of another: {which}")
        for files in twice["files"][:FIRST]:
            out.print(f"          {escape(' = '.join(files))}", soft_wrap=True)
    if found["broken"]:
        out.print(f"[yellow]broken[/]  {found['broken']:,} pictures cannot be used")
        for one in found["reasons"][:FIRST]:
            out.print(f"          {escape(one['file'])}: {escape(one['reason'])}", soft_wrap=True)


def machine(found: Row) -> None:
    out.print(f"lamina {found['lamina']}, Python {found['python']}, {found['system']}")
    devices = ", ".join(found["devices"]) or "not known without torch"
    out.print(f"{found['cores']} cores, {found['memory_gb']} GB, devices: {devices}")
    for name, told in found["versions"].items():
        out.print(f"  {name} {told or 'is not installed'}")
    for extra in found["ready"]:
        out.print(f"[green]ok[/]       {extra}")
    for extra, gone in found["missing"].items():
        out.print(
            f"[yellow]missing[/]  {extra}: {', '.join(gone)}. Install with: pip install 'lamina\\[{extra}]'",
            soft_wrap=True,
        )
