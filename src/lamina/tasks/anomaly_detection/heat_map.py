"""What is anomalous in images, as warm colour over a grey copy. NumPy and OpenCV."""

import numpy as np

from lamina.preprocess.image.codec import as_png

WARM = np.array([200, 80, 30], np.float32)
BLUR = 5  # pixels each way, over which errors are a mean


def error_map(images: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """Squared errors of images uint8 (rows, height, width, channels) about each pixel, (rows, height, width)."""
    squares = np.square(images.astype(np.float32) / 255 - rebuilt).mean(axis=3)
    for axis in (1, 2):
        squares = _mean(squares, axis, min(BLUR, squares.shape[axis]))
    return squares


def _mean(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    """A running mean of an odd number of neighbours along an axis, the outermost repeated."""
    half = (size - 1) // 2
    pad = [(0, 0)] * values.ndim
    pad[axis] = (half, half)
    view = np.lib.stride_tricks.sliding_window_view(np.pad(values, pad, mode="edge"), 2 * half + 1, axis=axis)
    return view.mean(axis=-1)


def overlay(images: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """Images (rows, height, width, 3) uint8 in grey, warm where the error is, in parts of the greatest of each."""
    errors = error_map(images, rebuilt)
    share = errors / np.maximum(errors.max(axis=(1, 2), keepdims=True), 1e-9)
    grey = images.astype(np.float32).mean(axis=3, keepdims=True) * 0.6 + 0.4 * 255
    return np.rint(grey * (1 - share[..., None]) + WARM * share[..., None]).astype(np.uint8)


def strips(images: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """An image, what the network makes of it, and the map, side by side: (rows, height, 3 * width, 3) uint8."""
    colour = [np.repeat(v, 3, axis=3) if v.shape[3] == 1 else v[..., :3] for v in (images, as_pixels(rebuilt))]
    return np.concatenate([*colour, overlay(images, rebuilt)], axis=2)


def as_pixels(rebuilt: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(rebuilt * 255), 0, 255).astype(np.uint8)


def pngs(images: np.ndarray, rebuilt: np.ndarray) -> list[bytes]:
    return [as_png(strip) for strip in strips(images, rebuilt)]
