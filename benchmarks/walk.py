"""Walks through the product as a new user would, on a terminal of 80 and of 120 columns, and looks at what it says:

    python benchmarks/walk.py [--columns 80 120] [--lines 12]

Prints each command line with the first lines of its output and what is wrong with it: a line wider than the terminal
(but for a command or a path to copy), a number cut by an ellipsis, a traceback, an error that does not begin as
one, another exit status than expected. The exit status of the walk is 1 where anything is wrong. Takes about three
minutes on two cores.
"""

import argparse
import csv
import errno
import fcntl
import os
import pty
import random
import re
import shlex
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import NamedTuple

LAMINA = Path(sys.executable).with_name("lamina")
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
CUT = re.compile(r"\d[\d.,:]*…")
STAYS = re.compile(r"\blamina \w|\.(csv|json)\b")  # a command or a path, to copy
LONGEST = 120  # seconds of one command
FAULT = "lamina: "  # how an error begins
WALK = """
2 lamina
0 lamina --help
0 lamina -V
0 lamina tasks
0 lamina tasks forecasting
0 lamina models
0 lamina models fnn
0 lamina init --help
0 lamina inspect --help
0 lamina train --help
0 lamina evaluate --help
0 lamina predict --help
0 lamina explain --help
0 lamina generate --help
0 lamina serve --help
0 lamina export --help
0 lamina inspect houses.csv
0 lamina init houses.csv --target price -o recipe.yaml
0 lamina inspect recipe.yaml
0 lamina train recipe.yaml --epochs 4 --out run
0 lamina inspect run
0 lamina evaluate run houses.csv
0 lamina predict run houses.csv -o answers.csv
0 lamina explain run houses.csv
0 lamina train houses.csv --task generation --model vae --epochs 2 --out generator
0 lamina generate generator --count 3 -o rows.csv
0 lamina export run --format card -o card.md
2 lamina trian
2 lamina train
1 lamina train nothing.csv
1 lamina train houses.csv --target prise
1 lamina train houses.csv --target price --model fnm
2 lamina train houses.csv --target price --epochs many
1 lamina train houses.csv --target price --task clasification
1 lamina train wrong.yaml
1 lamina predict run nothing.csv
1 lamina predict nothing houses.csv
1 lamina generate run
2 lamina evaluate run
1 lamina serve nothing
1 lamina serve run --host 0.0.0.0
1 lamina inspect nothing.csv
1 lamina export run --format onx -o out
""".strip().splitlines()


class Done(NamedTuple):
    """What a command printed, and its exit status."""

    text: str
    status: int


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--columns", type=int, nargs="+", default=[80, 120])
    parser.add_argument("--lines", type=int, default=12, help="of each output that are printed, 0 for all")
    args = parser.parse_args()
    faults = 0
    for columns in args.columns:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder))
            for line in WALK:
                status, _, words = line.partition(" ")
                done = run(words, columns, folder)
                own = wrong(done, columns, int(status))
                faults += len(own)
                show(words, done, columns, args.lines, own)
    print(f"\n{len(WALK)} command lines at {args.columns} columns: {faults} faults")
    return int(faults > 0)


def prepare(folder: Path) -> None:
    """The files of a new user."""
    chance = random.Random(0)
    with open(folder / "houses.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["area", "rooms", "town", "built", "price"])
        for i in range(300):
            area, rooms, town = round(chance.gauss(100, 20), 2), chance.randint(1, 6), chance.choice(["north", "south"])
            price = round(1000 * area + 9000 * rooms + 20_000 * (town == "south") + chance.gauss(0, 4000))
            writer.writerow([area, rooms, town, f"19{50 + i % 50}-0{1 + i % 9}-01", price])
    (folder / "wrong.yaml").write_text("data: houses.csv\ntarget: price\ntrain: {epoch: 5, learning_rate: fast}\n")


def run(words: str, columns: int, folder: str) -> Done:
    """A command on a terminal so wide."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
        environment.pop("LAMINA_TOKEN", None)
        os.execve(LAMINA, shlex.split(words), environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    parts, end = list[bytes](), time.monotonic() + LONGEST
    while time.monotonic() < end:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError as error:  # the command is over
            assert error.errno == errno.EIO
            break
        if not part:
            break
        parts.append(part)
    else:
        os.kill(process, 15)
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return Done(b"".join(parts).decode("utf-8", "replace"), os.waitstatus_to_exitcode(status))


def screen(text: str) -> list[str]:
    """The lines that stay on the screen."""
    lines = CODES.sub("", text).replace("\r\n", "\n").split("\n")
    return [line.rpartition("\r")[2].rstrip() for line in lines]


def wrong(done: Done, columns: int, status: int) -> list[str]:
    """What is wrong with an output."""
    lines = screen(done.text)
    faults = [f"{len(line)} columns: {line}" for line in lines if len(line) > columns and not STAYS.search(line)]
    faults += [f"a number is cut: {line}" for line in lines if CUT.search(line)]
    if "Traceback (most recent call last)" in done.text:
        faults.append("a traceback")
    if done.status != status:
        faults.append(f"exit status {done.status}, and not {status}")
    if status and "Usage: lamina" not in done.text and not any(line.startswith(FAULT) for line in lines):
        faults.append(f"no line begins with '{FAULT.strip()}'")
    return faults


def show(words: str, done: Done, columns: int, most: int, faults: list[str]) -> None:
    """A command as on the screen."""
    lines = screen(done.text)
    print(f"\n$ {words}    [{columns} columns, exit status {done.status}]")
    print("\n".join(lines[: most or None]))
    if most and len(lines) > most:
        print(f"   and {len(lines) - most} lines more")
    for fault in faults:
        print(f"!! {fault}")


if __name__ == "__main__":
    sys.exit(main())
