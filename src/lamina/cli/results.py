"""What a command has to show when it is done. Results describe themselves: tables, sentences, commands to copy."""

import json
from collections.abc import Iterable, Sequence

from rich.markup import escape

from lamina.cli.console import compare, err, line, lines, notes, out, say, short, skipped_rows, table
from lamina.data._skipped_rows import reasons
from lamina.data.arrays import json_rows
from lamina.evaluate import baselines
from lamina.evaluate.markup import cell, number
from lamina.evaluate.metrics import label
from lamina.schema import Row, SkippedRow
from lamina.task import Answers

BAR, NAME = 16, 44  # characters
FOR, AGAINST = "dark_orange3", "dodger_blue2"


def result(row: Row) -> None:
    """Of a run: scores beside the baselines, what its task adds, the verdict, and where everything is."""
    names = [name for name, value in row["scores"].items() if value is not None]
    methods = (baselines.label(name).replace(" ", "\n", 1) for name in row["baselines"])
    rows = [
        (label(name), number(row["scores"][name]), *(cell(one.get(name)) for one in row["baselines"].values()))
        for name in names
    ]
    compare(("score\non test rows", "network", *methods), rows)
    for rows in row["tables"]:
        lines(rows)
    for sentence in (row["verdict"], *row["sentences"]):
        say(sentence)
    out.print()
    commands = {"serve": f"lamina serve {row['bundle']}"}
    for name, text in {"report": row["report"], "bundle": row["bundle"], **row["commands"], **commands}.items():
        line(f"{name:<8} {text}")
    out.print(f"[dim]{row['seconds']:.1f} s in all[/]")


def scores(row: Row, skipped: Sequence[SkippedRow]) -> None:
    """Of an evaluation."""
    listed = table("score", "value", right=(1,))
    for name, value in row["scores"].items():
        listed.add_row(label(name), cell(value))
    out.print(listed)
    out.print(f"{row['rows']:,} rows evaluated, {row['skipped']:,} skipped")
    notes(row["notes"])
    skipped_rows(reasons(skipped))


def answered(row: Row, noun: str = "rows") -> None:
    """Of an operation on files: how many answers there are and where, or what the operation itself says."""
    if row.get("output") == "-":
        return printed(row)
    amount = row.get("amount") or f"{row.get('rows', 0):,} {noun}"
    for sentence in row.get("sentences") or [f"{amount} in {row['output']}"]:
        line(sentence)
    notes(row.get("notes", ()))
    if row.get("skipped"):
        line(f"{row['skipped']:,} rows could not be read: {row['skipped_file']}")
        skipped_rows(row["reasons"])
    return None


def printed(row: Row) -> None:
    """Of answers on standard output: what is to be said beside them, on standard error."""
    notes(row.get("notes", ()), err)
    if row["skipped"]:
        err.print(f"{row['skipped']:,} rows have no prediction and no line")
        skipped_rows(row["reasons"], err)


def streamed(pieces: Iterable[Answers]) -> None:
    """Answers as they come: a text goes on where the last one ended, numbered texts stand one below the other, other
    answers are a line of JSON each.
    """
    sentences, open_line = list[str](), False
    for piece in pieces:
        sentences += piece.notes
        for row in json_rows(piece.table):
            match row:
                case {"number": int(), "text": str(text)} if len(row) == 2:
                    line(text)
                case _ if len(row) == 1 and isinstance(text := next(iter(row.values())), str):
                    out.print(escape(text), end="", soft_wrap=True)
                    open_line = True
                case _:
                    line(json.dumps(row, ensure_ascii=False))
    if open_line:
        out.print()
    notes(sentences, err)


def explained(row: Row) -> None:
    """Of explanations: bars of single rows; the most probable labels of files, and where they are drawn."""
    if "images" in row:
        for one in row["images"]:
            answers = (f"{name} {chance:.1%}" if name else number(chance) for name, chance in one["answers"].items())
            line(f"{one['file']}  {', '.join(answers)}")
        line(f"Wrote {row['output']}.")
    elif "output" in row:
        answered({"amount": f"{row['rows']:,} explanation{'s' * (row['rows'] != 1)}", **row})
    else:
        for one in row["explanations"]:
            _bars(one["name"], one["bars"])
        say(row["about"])
        if (left := row["rows"] - len(row["explanations"])) > 0:
            say(f"{left:,} more rows: all of them with -o why.csv" if row["complete"] else "More rows: -o why.csv")
        notes(row["notes"])


def _bars(name: str, bars: Sequence[Row]) -> None:
    """A heading, and a line for each bar: to which side it goes is the sign and the colour."""
    out.print(f"[bold]{escape(name)}[/]")
    most = max((abs(bar["value"]) for bar in bars), default=0.0) or 1.0
    listed = table("", "", "", right=(1,))
    listed.show_header, listed.box = False, None
    for bar in bars:
        bar_text = f"[{FOR if bar['value'] > 0 else AGAINST}]{'█' * round(BAR * abs(bar['value']) / most)}[/]"
        listed.add_row("  " + escape(short(bar["name"], NAME)), bar["text"], bar_text)
    out.print(listed)
    out.print()
