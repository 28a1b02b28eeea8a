"""A run that is left alone, and one that is dropped in the middle and gone on with."""

from pathlib import Path

from lamina import pipeline
from lamina.recipe import Recipe
from lamina.run import Run


def alone_and_resumed(recipe: Recipe, folder: Path, epoch: int) -> tuple[Run, Run]:
    """Both runs of a recipe at their end; the second is dropped after so many epochs."""
    single, half = Run.create(folder / "alone"), Run.create(folder / "half")
    list(pipeline.run(recipe, single))
    rows = pipeline.run(recipe, half)
    while next(rows).get("epoch") != epoch:
        pass
    rows.close()
    resumed = Run.resume(half.folder)
    assert 0 < len(resumed.rows()) < len(single.rows())
    list(pipeline.run(resumed.recipe(), resumed))
    return single, resumed
