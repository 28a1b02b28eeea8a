"""What sentences say of options of a command, in the words of Python."""

import re

OPTION = re.compile(r"--(target|test|task|model|preset|budget|epochs|batch-size|lr|seed|out)\b(?:[ =]([\w.-]*\w))?")
SETTING = re.compile(r"--set (?:'([^'=]+)=([^']*)'|([\w.]+)=(\S*[^\s.,;:)]|[.,]))")


def in_python(sentence: str) -> str:
    """`--task NAME` as `task='NAME'`, and `--set train.lr=0.1` as `recipe={'train': {'lr': 0.1}}`."""
    return OPTION.sub(_option, SETTING.sub(_setting, sentence))


def _option(match: re.Match[str]) -> str:
    name = match[1].replace("-", "_")
    return f"{name}={_literal(match[2])}" if match[2] else name


def _setting(match: re.Match[str]) -> str:
    key, value = (match[1], match[2]) if match[1] else (match[3], match[4])
    inner = _literal(value)
    for part in reversed(key.split(".")):
        inner = f"{{{part!r}: {inner}}}"
    return f"recipe={inner}"


def _literal(value: str) -> str:
    return value if re.fullmatch(r"-?\d+(\.\d+)?", value) else repr(value)
