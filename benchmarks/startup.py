"""How long a person waits before anything happens: importing the package, and asking the command line for help.

python benchmarks/startup.py [times]
"""

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import lamina": [sys.executable, "-c", "import lamina"],
    "lamina --help": [sys.executable, "-m", "lamina", "--help"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(times: int) -> None:
    for name, command in COMMANDS.items():
        seconds(command)
        result = [seconds(command) for _ in range(times)]
        print(f"{name:16s} {statistics.median(result):.3f} s  ({min(result):.3f} to {max(result):.3f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
