"""What answers depend on: this package, Python, and the packages below it."""

import platform
from importlib.metadata import PackageNotFoundError, version

from lamina import __version__

PACKAGES = ("torch", "numpy", "pyarrow", "duckdb", "onnxruntime", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions by package; one that is not installed is left out."""
    versions = {"lamina": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
