"""Images of reports for the gallery: run each of its commands, photograph the top of the report with Chromium.

python docs/tools/images.py [NAME ...]
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[1]
SIZE, SHOWN = (1000, 1000), (640, 640)  # of the window, of the image
MOST = 100_000  # bytes


def main() -> None:
    commands = re.findall(r"`(lamina train [^`]+ --out runs/([\w-]+))`", (DOCS / "gallery.md").read_text("utf-8"))
    for command, name in commands:
        if name in sys.argv[1:] or not sys.argv[1:]:
            start = time.perf_counter()
            target = DOCS / "images" / f"{name}.webp"
            with tempfile.TemporaryDirectory() as folder:
                program = Path(sys.executable).with_name("lamina")
                subprocess.run([program, *shlex.split(command)[1:]], cwd=folder, check=True, capture_output=True)
                photograph(Path(folder) / "runs" / name / "report.html", target)
            print(f"{name}: {target.stat().st_size:,} bytes, {time.perf_counter() - start:.0f} s", flush=True)


def photograph(page: Path, target: Path) -> None:
    """The top of a page as a small image in light colours."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no browser to take screenshots with: apt-get install chromium")
    shot = page.with_name("shot.png")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE[0]},{SIZE[1]}"]
    subprocess.run([browser, *options, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True)
    Image.open(shot).convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS).save(target, quality=70, method=6)
    if target.stat().st_size > MOST:
        sys.exit(f"{target} has {target.stat().st_size:,} bytes, more than {MOST:,}")


if __name__ == "__main__":
    main()
