"""What goes wrong on a command line, as sentences, and the exit code."""

import contextlib
import difflib
import json
import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from typer.exceptions import TyperException

from lamina.config import LaminaError, nearest, synonyms
from lamina.config.validation import quote
from lamina.resources import disk, memory

EXTRAS = {  # which extra holds an optional package
    **dict.fromkeys(("torch", "sklearn", "matplotlib", "onnx", "onnxscript"), "train"),
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "python_multipart"), "serve"),
    "python_calamine": "excel",
    "streamlit": "app",
}
MEMORY = "Use fewer rows, close other programs, or take a larger machine."
COMMANDS = {  # of other tools
    **dict.fromkeys(("fit", "learn", "run", "tune", "finetune"), "train"),
    **dict.fromkeys(("test", "eval", "score", "val", "validate"), "evaluate"),
    **dict.fromkeys(("infer", "inference", "forecast", "transform", "detect"), "predict"),
    **dict.fromkeys(("new", "create", "config"), "init"),
    **dict.fromkeys(("convert", "save", "onnx"), "export"),
    **dict.fromkeys(("deploy", "api", "server"), "serve"),
    **dict.fromkeys(("describe", "show", "info", "profile"), "inspect"),
    **dict.fromkeys(("version", "env", "checks"), "doctor"),
}


def sentence(error: Exception) -> str | None:
    """What went wrong, where that is nobody's mistake in here; None for any other error."""
    if isinstance(error, TyperException):
        return _of_command_line(error)
    if isinstance(error, memory.OutOfMemoryError):
        return str(error)
    if memory.exhausted(error):
        return memory.sentence(" ".join(sys.argv[1:2]) or "lamina", error, MEMORY)
    if isinstance(error, LaminaError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        name = error.name or ""
        extra = EXTRAS.get(name.partition(".")[0])
        return extra and f"{name} is not installed. Install it with: pip install 'lamina[{extra}]'"
    if isinstance(error, OSError) and error.errno in disk.FAULTS_OF_WRITING:
        return disk.sentence(error, Path(error.filename) if error.filename else "standard output")
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Name another file or folder."
    return None


def exit_code(error: Exception) -> int:
    """2 for usage, as the shell's own commands have it, else what the error says, else 1."""
    return error.exit_code if isinstance(error, LaminaError | TyperException) else 1


def report(text: str, as_json: bool) -> None:
    """Say what went wrong: a line each on standard error, and one JSON object on standard output if that was asked."""
    if as_json:
        with contextlib.suppress(OSError):
            print(json.dumps({"error": text}), flush=True)
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    for line in text.splitlines():
        if line.startswith(" "):  # of a file, as it is
            print(line, file=sys.stderr)
            continue
        sentence = f"lamina: {line}"
        folded = textwrap.wrap(sentence, width, break_long_words=False, break_on_hyphens=False) if width else [sentence]
        print("\n".join(folded), file=sys.stderr)


def _of_command_line(error: TyperException) -> str:
    """What the framework refuses, with the place and the cure."""
    facts = vars(error)
    context: Any = facts.get("ctx")
    command = context.command_path if context is not None else "lamina"
    if facts.get("possibilities") is not None or type(error).__name__ == "NoSuchOption":
        return _unknown_option(facts["option_name"], context, command)
    if type(error).__name__ == "MissingParameter":
        option = facts["param"].param_type_name == "option"
        name = facts["param"].opts[0] if option else facts["param"].name.upper()
        return f"{name}: is required and was not given. {_usage(context)}{f' {name} VALUE' if option else ''}"
    if word := re.match(r"No such command '(.+?)'", error.message):
        other = COMMANDS.get(word[1].lower())
        cure = f"Did you mean '{other}'?" if other else nearest(word[1], _commands(context))
        return f"{word[1]}: there is no such command. {cure}"
    if needs := re.match(r"Option '(.+?)' requires", error.message):
        return f"{needs[1]}: requires a value. Write {needs[1]} VALUE."
    hint = facts.get("param_hint") or (facts["param"].get_error_hint() if facts.get("param") else "")
    place = (hint if isinstance(hint, str) else " / ".join(hint)).replace("'", "")
    text = error.message.removeprefix("Value error, ").removeprefix("Input ")
    text = text.partition(", unable to parse")[0].rstrip(".")
    if not place:
        return f"{text}. {_usage(context)}"
    return f"{place}: {text}{_actual(error, text)}. What it takes: {command} --help"


def _actual(error: TyperException, text: str) -> str:
    """The value of an option that is of another type, where the text does not say it."""
    faults = getattr(error.__cause__ or error.__context__, "errors", list)()
    return f" (got {quote(faults[0]['input'])})" if faults and str(faults[0]["input"]) not in text else ""


def _commands(context: Any) -> list[str]:
    """Those that are built in, and the operations of bundles."""
    from lamina.cli.operations import installed

    return [*{*context.command.list_commands(context), *(operation.name for operation in installed())}]


def _usage(context: Any) -> str:
    """How a command is written."""
    line = " ".join(context.get_usage().split()).replace("[OPTIONS] ", "") if context is not None else "lamina --help"
    return re.sub(r"[{}]", "", line.replace("Usage:", "Write:")).replace("......", "...")


def _unknown_option(option: str, context: Any, command: str) -> str:
    """The option that is meant, or the setting of a recipe, or where options are listed."""
    options = {name.lstrip("-").replace("-", "_"): name for param in context.command.params for name in param.opts}
    word = option.lstrip("-").replace("-", "_")
    same = synonyms.among(word, options)
    cure = f"Did you mean '{options[same]}'?" if same else None
    if cure is None and "set" in options:
        from lamina.recipe import places

        cure = places.write(word, "VALUE")
    close = difflib.get_close_matches(word, options, n=1)
    cure = cure or (f"Did you mean '{options[close[0]]}'?" if close else f"There are: {command} --help")
    return f"{option}: there is no such option. {cure}"
