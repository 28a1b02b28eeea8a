"""The application of a server, which another one takes the place of when bundles change on disk.

A new bundle is opened, checked and has repeated its golden rows before it answers anything; one that fails never takes
the place of one that works. Requests that have begun are answered by the model that they began with.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from lamina.config import LaminaError
from lamina.deploy.bundle import locate
from lamina.deploy.predictor import Predictor
from lamina.deploy.server.middleware import State
from lamina.deploy.server.model import UNSAFE, bundle_name

Build = Callable[[Mapping[str, Predictor], FastAPI | None], FastAPI]


class Models:
    """Bundles on disk by name, as an ASGI application; `build` makes one of their predictors."""

    def __init__(self, paths: Mapping[str, Path], build: Build):
        self.paths, self._build = dict(paths), build
        self._signatures = self._look()
        self._predictors = {name: Predictor(path) for name, path in self.paths.items()}
        self._serve(build(self._predictors, None))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.application(scope, receive, send)

    def _serve(self, application: FastAPI) -> None:
        self.application = application
        self.state: State = application.state.lamina

    def reload(self, changed: bool = True) -> list[str]:
        """Open all bundles again, or only those that have changed; what came of it, a sentence for each that is new or
        could not be opened.
        """
        signatures = self._look()
        names = [name for name in self.paths if not changed or signatures[name] != self._signatures[name]]
        predictors, sentences = dict(self._predictors), list[str]()
        for name in names:
            try:
                predictor = Predictor(self.paths[name])
            except (LaminaError, OSError) as error:
                self.state.metrics.reloads["refused"] += 1
                sentences.append(f"{name}: the model stays {predictors[name].id}; the new one is refused. {error}")
                continue
            if predictor.id != predictors[name].id:
                sentences.append(f"{name}: the model is {predictor.id} now, and was {predictors[name].id}.")
                predictors[name] = predictor
                self.state.metrics.reloads["ok"] += 1
        self._signatures = signatures
        if any(predictors[name] is not self._predictors[name] for name in predictors):
            self._predictors = predictors
            self._serve(self._build(predictors, self.application))
        return sentences

    def _look(self) -> dict[str, tuple[Any, ...]]:
        """What changes when a bundle does: where its path leads, and when its last file was written."""
        return {name: _signature(path) for name, path in self.paths.items()}


def bundles_by_name(words: Sequence[str]) -> dict[str, Path]:
    """Bundles by the names that words such as `churn=runs/churn` give them, or else by their own.

    Errors: LaminaError for a name that is there twice or that no path can have.
    """
    paths = dict[str, Path]()
    for word in words:
        name, equals, place = word.partition("=")
        path = locate(Path(word if Path(word).exists() or not equals else place))
        name = name if equals and not Path(word).exists() else bundle_name(path)
        if UNSAFE.search(name) or not name:
            raise LaminaError(f"{word}: a name may have letters, digits, '.', '-' and '_' (got '{name}').")
        if name in paths:
            raise LaminaError(f"{word}: two bundles are called '{name}'. Name them: NAME=BUNDLE")
        paths[name] = path
    return paths


def _signature(path: Path) -> tuple[Any, ...]:
    real = path.resolve()
    try:
        own = (real / "manifest.json" if real.is_dir() else real).stat()
    except OSError:  # it is being replaced just now
        return (real, None)
    return (real, own.st_ino, own.st_mtime_ns, own.st_size)
