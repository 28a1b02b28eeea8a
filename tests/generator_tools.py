"""Small images and rows of three classes, for networks that make more of them."""

import numpy as np

from lamina.schema import Input, Output, Spec

CLASSES = ("down", "middle", "up")
ROWS = 192
SHAPES = {"grey": (12, 12, 1), "colour": (9, 14, 3)}
BLOCKS = (1, 3, 2, 1, 4)


def codes(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, 7]).integers(0, 3, count)


def images(shape: tuple[int, int, int], code: np.ndarray, seed: int) -> np.ndarray:
    """Dark images with a bright band in the lower, the middle or the upper third."""
    height, width, channels = shape
    rng = np.random.default_rng(seed)
    result = rng.normal(40, 8, (len(code), height, width, channels))
    third = height // 3
    for k in range(3):
        top = height - (k + 1) * third
        result[code == k, top : top + third] += 150
    return result.clip(0, 255).astype(np.uint8)


def blocks(code: np.ndarray, seed: int) -> np.ndarray:
    """Rows of numbers in (-1, 1) and choices, of which the first choice and the last number say the class."""
    rng, parts = np.random.default_rng(seed), []
    for i, size in enumerate(BLOCKS):
        if size == 1:
            own = (code - 1) * 0.7 if i else np.zeros(len(code))
            parts.append((own + rng.normal(0, 0.1, len(code))).clip(-1, 1)[:, None])
        else:
            parts.append(np.eye(size)[code if size == 3 else rng.integers(0, size, len(code))])
    return np.concatenate(parts, axis=1).astype(np.float32)


def spec_of(sort: str, classes: int, rows: int = ROWS) -> Spec:
    if sort == "rows":
        feed = Input(kind="row", shape=(sum(BLOCKS),), dtype="float32", sizes=BLOCKS)
        inputs = {"row": feed}
    else:
        shape = SHAPES[sort]
        feed = Input(kind="image", shape=shape, dtype="uint8", mean=(0.3,) * shape[2], std=(0.25,) * shape[2])
        inputs = {"image0": feed}
    facts = {"condition": Input(kind="category", shape=(1,), dtype="int64", sizes=(classes,))} if classes else {}
    return Spec(inputs={**facts, **inputs}, output=Output(head="sample", size=classes, loss="generation"), rows=rows)
