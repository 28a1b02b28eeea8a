"""What `lamina inspect` and `lamina doctor` show: a data source, a bundle, this machine."""

from rich.markup import escape

from lamina import preprocess
from lamina.cli import column_statistics
from lamina.cli.console import columns, line, lines, notes, out, short, skipped_rows, table
from lamina.schema import Row

CLASSES = 10


def inspected(row: Row) -> None:
    """Columns of a bundle or of a source, with what there is to say of them."""
    if "bundle" in row:
        _bundle(row)
    else:
        out.print(f"[bold]{row['rows']:,} rows[/] in {escape(row['source'])}, {row['skipped']:,} skipped")
        if row["task"]:
            of = f" of {escape(row['target'])}" if row["target"] else ""
            out.print(f"task: {row['task']}{of}")
    out.print(columns(row["columns"]))
    column_statistics.show(row.get("statistics", ()))
    for survey in row.get("surveys", []):
        _survey(survey)
    notes(row.get("notes", ()))
    skipped_rows(row.get("reasons", []))


def _bundle(row: Row) -> None:
    """What it is for, what it can be asked, and the files it consists of."""
    of = f" of '{escape(row['target'])}'" if row["target"] else ""
    out.print(f"[bold]{escape(row['bundle'])}[/]  {row['task']}{of} by {row['model']}")
    if row["classes"]:
        names = ", ".join(short(name, 24) for name in row["classes"][:CLASSES])
        more = f" and {len(row['classes']) - CLASSES:,} more" if len(row["classes"]) > CLASSES else ""
        line(f"{len(row['classes']):,} classes: {names}{more}")
    for operation in row["operations"]:
        out.print(f"[bold]{operation['name']}[/]  {escape(operation['summary'])}")
        line(f"  {operation['command']}")
    files = table("file", "bytes", "what it is", right=(1,))
    for file in row["files"]:
        files.add_row(file["path"], f"{file['bytes']:,}", file["role"])
    out.print(files)


def _survey(row: Row) -> None:
    """What the cells of a column hold beyond their values, as their kind tells it."""
    tables, sentences = preprocess.summarize(row)
    for rows in tables:
        lines(rows)
    for label, text, warns in sentences:
        if not label.strip():
            line(f"{label}{text}")
            continue
        style = "yellow" if warns else "bold" if label == row["column"] else "default"
        out.print(f"[{style}]{escape(' '.join(label.split()))}[/]{escape(text)}", soft_wrap=True)


def machine(row: Row) -> None:
    """Versions, devices, and what is missing for which stage."""
    out.print(f"lamina {row['lamina']}, Python {row['python']}, {row['system']}")
    devices = ", ".join(row["devices"]) or "not known without torch"
    out.print(f"{row['cores']} cores, {row['memory_gb']} GB, devices: {devices}")
    for name, version in row["versions"].items():
        out.print(f"  {name} {version or 'is not installed'}")
    for extra in row["ready"]:
        out.print(f"[green]ok[/]       {extra}")
    for extra, modules in row["missing"].items():
        cure = f"Install with: pip install 'lamina\\[{extra}]'"
        out.print(f"[yellow]missing[/]  {extra}: {', '.join(modules)}. {cure}", soft_wrap=True)
