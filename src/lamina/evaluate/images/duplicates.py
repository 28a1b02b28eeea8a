"""Test images that are, exactly or nearly, training images: for them a score measures memory and not skill.

Exact: the same bytes of a file. Near: a difference hash (64 bits: is each of 8 x 8 places brighter
than the one to its left; Krawetz 2013) that differs in 4 bits at most picks candidates, and the pixels decide. A hash
alone would call two handwritten ones the same, and any two images of a single colour. What looks the same only
because reading brought it to a small size or to few levels is no copy: the files decide.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lamina.evaluate.images.image_files import ImageFiles, at_one_size

CLEAR = 4.0  # grey levels; where an image is even, noise must not decide the bits
BITS = 4  # most bits of the hash that may differ: re-saved and resized copies differ in 0 to 3
SHARE = 0.04  # most mean difference of small grey copies, as a share of the contrast: MNIST's nearest two are at 0.047
COLOURS = 0.08  # the same of small copies in colour, which compression changes more
DETAIL = 0.35  # the same of all pixels, where another compression or size shows more
FLAT = 2.0  # images whose pixels differ less than this from their mean, of 255, are of a single colour
SMALL = 16  # side of the small copies that candidates are compared by, at most: half the side, to even out noise
MOST_PAIRS = 4_000_000_000  # hashes compared; above, test images are sampled
TRIES = 8  # training images of the same pixels whose files are looked at
_CHUNK = 512


class Pair(NamedTuple):
    """An image (row of its part) and the training image that it repeats."""

    row: int
    training_row: int
    exact: bool


class Duplicates(NamedTuple):
    """`pairs` in the order of the rows; `compared`: images looked at, of `rows`; `flat`: exact ones of one colour."""

    pairs: tuple[Pair, ...]
    compared: int
    rows: int
    flat: int


class _Fingerprints(NamedTuple):
    """What is remembered of images: a hash of the bytes, the difference hash, a small copy, and the contrast."""

    exact: np.ndarray
    bits: np.ndarray
    small: np.ndarray
    contrast: np.ndarray


def find(
    images: np.ndarray, training: np.ndarray, seed: int = 0, files: tuple[ImageFiles, ImageFiles] | None = None
) -> Duplicates:
    """For each image the training image it repeats, if there is one; both (rows, height, width, channels).

    `files` are those of the images and of the training images; without them the pixels are all there is. 60,000
    training and 10,000 images take a few seconds. Copies that are mirrored, turned or cropped are not looked for.
    """
    rows = np.arange(len(images))
    most = max(1, MOST_PAIRS // max(1, len(training)))
    if len(images) > most:
        rows = np.sort(np.random.default_rng(seed).choice(len(images), most, replace=False))
    ours, theirs = _fingerprints(images, rows), _fingerprints(training, np.arange(len(training)))
    places: dict[int, list[int]] = {}
    for place, key in enumerate(theirs.exact.tolist()):
        places.setdefault(key, []).append(place)
    digests: dict[int, bytes] = {}
    matches = {i: places[key] for i, key in enumerate(ours.exact.tolist()) if key in places}
    equal = ((i, _equal(int(rows[i]), where, files, digests)) for i, where in matches.items())
    pairs = {i: pair for i, pair in equal if pair}
    flat = sum(ours.contrast[i] < FLAT for i in pairs)
    others = np.array([i for i in range(len(rows)) if i not in pairs and ours.contrast[i] >= FLAT], np.int64)
    lively = np.flatnonzero(theirs.contrast >= FLAT)
    for i, place in _candidates(ours, theirs, others, lively):
        if _same(images[rows[i]], training[place]) and _alike(int(rows[i]), place, files):
            pairs[i] = Pair(int(rows[i]), int(place), False)
    return Duplicates(tuple(pairs[i] for i in sorted(pairs)), len(rows), len(images), int(flat))


def _equal(
    row: int, places: list[int], files: tuple[ImageFiles, ImageFiles] | None, digests: dict[int, bytes]
) -> Pair | None:
    """The training image of the same pixels that is the same file, else one that shows the same."""
    if files is None:
        return Pair(row, places[0], True)
    mine = files[0].digest(row)
    for place in places:
        if place not in digests:
            digests[place] = files[1].digest(place)
        if digests[place] == mine:
            return Pair(row, place, True)
    alike = (place for place in places[:TRIES] if _alike(row, place, files))
    return next((Pair(row, place, False) for place in alike), None)


def _alike(row: int, place: int, files: tuple[ImageFiles, ImageFiles] | None) -> bool:
    """Whether two files show the same at their own size and depth; where that cannot be told, they do."""
    if files is None:
        return True
    one, other = files[0].image(row), files[1].image(place)
    small = None if one is None or other is None else at_one_size(one, other)
    return small is None or _same(*small)


def dhash(small: np.ndarray) -> np.ndarray:
    """(rows,) uint64 of grey copies (rows, 8, 9): whether each place is clearly brighter than its left neighbour."""
    return np.packbits(small[:, :, 1:] > small[:, :, :-1] + CLEAR, axis=None).view(np.uint64)


def _fingerprints(images: np.ndarray, rows: np.ndarray) -> _Fingerprints:
    height, width = images.shape[1:3]
    tall, wide = _weights(height, 8), _weights(width, 9)
    tall_small, wide_small = _half(height), _half(width)
    exact, bits, small, contrast = [], [], [], []
    for start in range(0, len(rows), _CHUNK):
        part = np.ascontiguousarray(images[rows[start : start + _CHUNK]])
        exact += [hashlib.blake2b(one, digest_size=8).digest() for one in part]
        grey = part.mean(axis=3, dtype=np.float32)  # (rows, height, width)
        bits.append(dhash(tall @ grey @ wide.T))
        small.append(np.rint(tall_small @ grey @ wide_small.T).astype(np.uint8).reshape(len(part), -1))
        contrast.append(np.abs(grey - grey.mean(axis=(1, 2), keepdims=True)).mean(axis=(1, 2)))
    if not bits:
        none = np.zeros(0)
        return _Fingerprints(none, none.astype(np.uint64), np.zeros((0, 1), np.uint8), none)
    return _Fingerprints(
        np.frombuffer(b"".join(exact), np.uint64), np.concatenate(bits), np.concatenate(small), np.concatenate(contrast)
    )


def _weights(side: int, places: int) -> np.ndarray:
    """(places, side): the share of each pixel in each of as many equal stretches; each line sums to 1."""
    edges = np.linspace(0, side, places + 1)
    low, high = np.arange(side), np.arange(side) + 1
    inside = np.minimum(high, edges[1:, None]) - np.maximum(low, edges[:-1, None])
    return (np.clip(inside, 0, None) / (side / places)).astype(np.float32)


def _half(side: int) -> np.ndarray:
    return _weights(side, min(SMALL, -(-side // 2)))


def _candidates(
    ours: _Fingerprints, theirs: _Fingerprints, rows: np.ndarray, lively: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Row and its nearest training row by the small copies, where the hashes are near and the small copies too.

    Copies cannot be nearer than their means are, so only those of about the same mean are compared.
    """
    means = theirs.small[lively].mean(axis=1)
    lively = lively[np.argsort(means, kind="stable")]
    means, bits, small, contrast = np.sort(means), theirs.bits[lively], theirs.small[lively], theirs.contrast[lively]
    for row in rows.tolist():
        mine, away = ours.small[row].astype(np.int16), SHARE * ours.contrast[row] + 1e-3
        low, high = np.searchsorted(means, (mine.mean() - away, mine.mean() + away))
        near = low + np.flatnonzero(np.bitwise_count(bits[low:high] ^ ours.bits[row]) <= BITS)
        if len(near):
            apart = np.abs(small[near] - mine).mean(axis=1) / np.minimum(contrast[near], ours.contrast[row])
            best = int(apart.argmin())
            if apart[best] <= SHARE:
                yield row, int(lively[near[best]])


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the pixels agree in every colour, as far as another compression or size changes them."""
    apart = one.astype(np.float32) - other
    height, width = one.shape[:2]
    blocks = np.einsum("yh,hwc,xw->yxc", _half(height), apart, _half(width), optimize=True)
    contrast = min(float(np.abs(image - image.mean()).mean()) for image in (one, other))
    return float(np.abs(blocks).mean()) <= COLOURS * contrast and float(np.abs(apart).mean()) <= DETAIL * contrast
