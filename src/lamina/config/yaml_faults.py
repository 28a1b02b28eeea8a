"""Why a text is no YAML, in plain words, with its line."""

import re
from typing import Any

NO_BLANK = re.compile(r"\s*[\w.-]+:[^\s:/]")  # epochs:3
EQUALS = re.compile(r"\s*[\w.-]+\s*=")  # epochs = 3
WIDEST = 120  # characters of a line that is shown


def explain(text: str, where: str, error: Any) -> str:
    """A sentence with the place, and the line below it; `error` is a MarkedYAMLError."""
    lines = text.split("\n")
    line, column, reason = _reason(lines, error)
    if line is None or column is None:
        return f"{where}: {reason}"
    return f"{where}:{line + 1}:{column + 1}: {reason}{excerpt(lines, line)}"


def excerpt(lines: list[str], line: int) -> str:
    """A line with its number, on a line of its own; tabs are arrows, which can be seen."""
    content = lines[line].rstrip().replace("\t", "→") if line < len(lines) else ""
    return f"\n  {line + 1} | {content[:WIDEST]}" if content else ""


def _reason(lines: list[str], error: Any) -> tuple[int | None, int | None, str]:
    """Line and column, from 0, of what is to be mended, and why."""
    problem, context = error.problem or "is not YAML", error.context or ""
    mark, begin = error.problem_mark, error.context_mark
    if mark is None:
        return None, None, f"is not YAML ({problem.splitlines()[0]})."
    line, column = min(mark.line, len(lines) - 1), mark.column
    indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    if "\t" in indent:
        return line, indent.index("\t"), "a tab stands before the line. Indent with blanks."
    if begin is not None and "quoted scalar" in context and "end of stream" in problem:
        quote = lines[begin.line][begin.column]
        return begin.line, begin.column, f"a quote is opened and not closed. Put {quote} at the end of the text."
    if "escape character" in problem:
        return line, column, "a backslash in double quotes has a meaning of its own. Use single quotes, or /."
    if "flow" in context and ("flow node" not in context or "stream end" in problem):
        return _bracket(lines, line, column, error)
    if "duplicate key" in problem:
        name = re.search(r'"(.*?)"', problem)
        return line, column, f"{name[1] if name else 'a name'} is given twice. Keep one of them."
    if "could not find expected ':'" in problem and begin is not None:
        return begin.line, begin.column, _without_colon(lines[begin.line])
    if "mapping values are not allowed" in problem:
        return _second_colon(lines, line, column)
    if "expected <block end>" in problem:
        cure = "Indent it as those beside it."
        return line, column, f"the line is not indented as those beside it, or the line above has no colon. {cure}"
    if "cannot start any token" in problem:
        return (
            line,
            column,
            f"a text that begins with {lines[line][column : column + 1]} stands in quotes. Put it there.",
        )
    return line, column, f"is not YAML ({problem.splitlines()[0]}). Write name: value, a line for each."


def _bracket(lines: list[str], line: int, column: int, error: Any) -> tuple[int, int, str]:
    """What is wrong within brackets, which `error` found at a place: a comma or the closing one is missing."""
    begin = error.context_mark
    if begin is None or "flow node" in error.context:  # the text ends behind the last one
        first = max(n for n, content in enumerate(lines) if "[" in content or "{" in content)
        start = max(lines[first].rfind(bracket) for bracket in "[{")
    else:
        first, start = begin.line, begin.column
    closing = "}" if lines[first][start] == "{" else "]"
    if line == first and lines[line][column:].strip():
        return line, column, f"a comma is missing before this, or {closing}. Put one there."
    return first, start, f"a bracket is opened and not closed. Put {closing} at its end."


def _without_colon(line: str) -> str:
    """What is wrong with a line that is no `name: value`."""
    if EQUALS.match(line):
        return "an equals sign stands where a colon should. Write name: value."
    if NO_BLANK.match(line):
        return "a blank is missing behind the colon. Write name: value."
    return "a colon is missing. Write name: value."


def _second_colon(lines: list[str], line: int, column: int) -> tuple[int, int, str]:
    """Where a colon stands in what is a text already: by indent, by a line above without one, or in one line."""
    above = next(
        (n for n in range(line - 1, -1, -1) if lines[n].strip() and not lines[n].lstrip().startswith("#")), None
    )
    if ": " in lines[line][:column]:
        return line, column, "a second colon stands in the line. Put the text that holds it in quotes."
    if above is None:
        return line, column, "a colon stands where none can be. Put the text that holds it in quotes."
    if ":" not in lines[above] or NO_BLANK.match(lines[above]):
        return above, 0, _without_colon(lines[above])
    indent = len(lines[line]) - len(lines[line].lstrip())
    return line, indent, "the line is indented deeper than the line above, which has a value. Indent it as that."
