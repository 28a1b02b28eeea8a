"""The files behind the images of a part: reading brings images to one size and to 8 bits, and what is the same then
need not have been the same before.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina.preprocess.image import cells, codec, levels
from lamina.preprocess.image.stderr import quiet

LARGEST = 256  # pixels a side that two images are compared at


class ImageFiles(NamedTuple):
    """The files of a column of images, read when they are asked for; none has more pixels than `most`."""

    column: cells.Cells
    most: int

    def digest(self, row: int) -> bytes:
        """A hash of the bytes of a file; empty where there is none."""
        body, _ = cells.body(self.column, row)
        return hashlib.blake2b(body, digest_size=16).digest() if body else b""

    def image(self, row: int) -> np.ndarray | None:
        """The numbers of a file, (height, width, channels), as deep as they are; None where there are none."""
        body, _ = cells.body(self.column, row)
        with quiet():
            decoded = codec.decode(body, self.most)
        if isinstance(decoded, str):
            return None
        image = decoded.image
        return image[:, :, None] if image.ndim == 2 else image


def of(values: pa.Array, most: int) -> ImageFiles:
    """The files of parsed cells `{path, bytes}`."""
    return ImageFiles(cells.cells(values), most)


def at_one_size(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Two images as float32 at the smaller of their sizes; None where their numbers are not of one sort."""
    if levels.sort_of(one) != levels.sort_of(other):
        return None
    if one.shape[2] != other.shape[2]:
        one, other = (image.mean(axis=2, keepdims=True) for image in (one, other))
    height, width = (min(LARGEST, one.shape[i], other.shape[i]) for i in (0, 1))
    cv2 = codec.opencv()
    small = []
    for image in (one, other):
        plain = np.ascontiguousarray(np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0))
        small.append(cv2.resize(plain, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1))
    return small[0], small[1]
