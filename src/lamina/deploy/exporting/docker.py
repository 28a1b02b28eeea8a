"""A folder to build a container from: the bundle, Lamina itself, and exact versions of what serves it, no more.

What a bundle needs beyond what every server does is seen in a process of its own that opens it and answers.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement  # ONNX Runtime needs it

import lamina
from lamina.config import LaminaError
from lamina.deploy.bundle import Bundle, save
from lamina.deploy.exporting import model_card
from lamina.resources import disk

SERVER = (  # what every server runs on
    "duckdb", "fastapi", "httptools", "numpy", "onnxruntime", "orjson", "pyarrow", "pydantic", "python-multipart",
    "safetensors", "uvicorn", "uvloop",
)  # fmt: skip
OPTIONAL = {  # what some bundles need, by the module that is imported
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
}
UNUSED = ("_flight*", "_s3fs*", "include", "libarrow_flight*", "libarrow_s3*", "tests")  # of pyarrow, a third of it
PROBE = """
import json, sys
from lamina.deploy.predictor import Predictor
from lamina.deploy.server.content_types import Body
from lamina.deploy.server.limits import Limits
from lamina.deploy.server.model import model_of
for endpoint in model_of(Predictor(sys.argv[1]), Limits()).endpoints:
    payload = endpoint.example.payload
    body = payload if endpoint.operation.rows == "none" else {"rows": payload}
    list(endpoint.stream(Body(json.dumps(body).encode())))
print(json.dumps([name for name in sys.argv[2:] if name in sys.modules]))
"""
SERVE = '''"""Answer with the bundle beside this file. LAMINA_TOKEN is what clients must send."""

from lamina.deploy.server import serve

if __name__ == "__main__":
    serve("model.lamina", host="0.0.0.0", port=8000)
'''
DOCKERFILE = """\
# docker build -t {name} .
# docker run -p 8000:8000 -e LAMINA_TOKEN=... {name}
FROM python:{python}-slim
ENV PYTHONUNBUFFERED=1{plugins}
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt \\
 && cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pyarrow" \\
 && rm -rf {unused}
ADD lamina.tar .
COPY model.lamina serve.py ./
RUN python -m compileall -q lamina && useradd --system --no-create-home lamina
USER lamina
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \\
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
CMD ["python", "serve.py"]
"""


def write(bundle: Bundle, path: Path) -> None:
    """Write the folder. Errors: LaminaError where what the bundle needs is not installed here."""
    save(bundle, path / "model.lamina")
    names = [*SERVER, *_optional(path / "model.lamina")]
    lines = [f"{name}=={version}" for name, version in sorted(versions(names).items())]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    plugins = os.environ.get("LAMINA_PLUGINS", "")
    variable = " LAMINA_PLUGINS=/app/plugins" if plugins else ""
    name, unused = f"lamina-{bundle.id}", " ".join(UNUSED)
    dockerfile = DOCKERFILE.format(name=name, python=python, unused=unused, plugins=variable)
    texts = {
        "Dockerfile": dockerfile,
        "requirements.txt": "\n".join(lines) + "\n",
        "serve.py": SERVE,
    }
    for name, text in texts.items():
        disk.write_text(path / name, text)
    model_card.write(bundle, path / "MODEL_CARD.md")
    folders = {"lamina": Path(lamina.__file__).parent} | ({"plugins": Path(plugins)} if plugins else {})
    disk.write_bytes(path / "lamina.tar", _tar(folders))


def _tar(folders: Mapping[str, Path]) -> bytes:
    """Lamina itself, which no registry need have, and the user's plug-ins: the same files give the same bytes."""
    file = io.BytesIO()
    with tarfile.TarFile(fileobj=file, mode="w") as tar:
        for name, folder in folders.items():
            for source in sorted(folder.rglob("*")):
                if source.is_file() and source.parent.name != "__pycache__":
                    body, info = source.read_bytes(), tarfile.TarInfo(f"{name}/{source.relative_to(folder).as_posix()}")
                    info.size = len(body)
                    tar.addfile(info, io.BytesIO(body))
    return file.getvalue()


def _optional(bundle: Path) -> list[str]:
    """Packages that this bundle needs, of those that not all do."""
    command = [sys.executable, "-c", PROBE, str(bundle), *OPTIONAL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise LaminaError(f"docker: the bundle cannot be served here ({lines[-1] if lines else 'no reason'}).")
    return [OPTIONAL[module] for module in json.loads(done.stdout)]


def versions(names: list[str]) -> dict[str, str]:
    """Exact versions of packages and of all they require, as they are installed here. Errors: LaminaError."""
    exact, waiting = dict[str, str](), list(names)
    while waiting:
        name = waiting.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            cure = f"Install it: pip install {name}"
            raise LaminaError(
                f"docker: {name} is not installed here, and its version is to be written. {cure}"
            ) from None
        key = package.metadata["Name"].lower().replace("_", "-")
        if key in exact:
            continue
        exact[key] = package.version.partition("+")[0]
        needs = map(Requirement, package.requires or ())
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return exact
