"""Noise of known deviation, which is the same whenever it is asked for."""

import numpy as np

WHITE = np.float32(255)
RATIO = 0.618033988749895  # by which deviations are spread evenly, however many there are


def unit(values: np.ndarray) -> np.ndarray:
    """Pixels of 8 bits as floats of 0 to 1; floats as they are."""
    return values.astype(np.float32) / WHITE if values.dtype == np.uint8 else values.astype(np.float32, copy=False)


def add(clean: np.ndarray, sigma: float, *seed: int) -> np.ndarray:
    """Gaussian noise as floats, of a deviation in units of `clean`."""
    draw = np.random.default_rng(seed).standard_normal(clean.shape, dtype=np.float32)
    return clean + np.float32(sigma) * draw


def over(clean: np.ndarray, low: float, high: float, seed: int) -> np.ndarray:
    """The same for rows, with deviations spread over a range."""
    shares = (np.arange(len(clean)) * RATIO + 0.5) % 1
    return np.stack([add(one, low + (high - low) * share, seed, row)
                     for row, (one, share) in enumerate(zip(clean, shares, strict=True))])  # fmt: skip
