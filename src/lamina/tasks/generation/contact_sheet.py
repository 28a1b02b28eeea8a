"""A contact sheet: a few images of each class in rows of their own, or the first ones side by side."""

from collections.abc import Sequence

import numpy as np

from lamina.preprocess.image.codec import opencv

ACROSS, DOWN = 12, 24  # images in a row, and rows
SMALL, LARGE = 56, 192  # pixels of the longer side of an image on a sheet
GAP, GROUND = 4, 255
LETTER = 9  # pixels, about, of a letter


class ContactSheet:
    """Collects as many images as fit, whatever comes; `draw` lays them out."""

    def __init__(self, classes: Sequence[str]):
        self.rows: dict[str, list[np.ndarray]] = {name: [] for name in classes[:DOWN]}
        self.unlabelled = not classes
        if self.unlabelled:
            self.rows = {str(row): [] for row in range(ACROSS)}

    def add(self, image: np.ndarray, label: str) -> None:
        """One more image (height, width, 1 or 3) uint8, red first."""
        if self.unlabelled:
            label = next((row for row, images in self.rows.items() if len(images) < ACROSS), "")
        row = self.rows.get(label)
        if row is not None and len(row) < ACROSS:
            row.append(_scale(image))

    def draw(self) -> np.ndarray:
        """The sheet, (height, width, 1 or 3) uint8."""
        rows = {name: images for name, images in self.rows.items() if images}
        height, width, channels = next(iter(rows.values()))[0].shape
        names = [] if self.unlabelled else [name if name.isascii() else "" for name in rows]
        margin = GAP + LETTER * min(20, max((len(name) for name in names), default=0))
        across = max(len(images) for images in rows.values())
        page = np.full((len(rows) * (height + GAP) + GAP, across * (width + GAP) + margin, channels), GROUND, np.uint8)
        for i, images in enumerate(rows.values()):
            top = GAP + i * (height + GAP)
            for j, image in enumerate(images):
                left = margin + j * (width + GAP)
                page[top : top + height, left : left + width] = image
            if names:
                _label(page, names[i][:20], top + height // 2 + 5)
        return page


def _scale(image: np.ndarray) -> np.ndarray:
    """Small images enlarged a whole number of times, so that every pixel shows; large ones shrunk."""
    cv2, longest = opencv(), max(image.shape[:2])
    if longest <= SMALL:
        times = -(-SMALL // longest)
        return image.repeat(times, axis=0).repeat(times, axis=1)
    if longest <= LARGE:
        return image
    height, width = (max(1, round(n * LARGE / longest)) for n in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)


def _label(page: np.ndarray, name: str, bottom: int) -> None:
    cv2 = opencv()
    cv2.putText(page, name, (GAP, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0,) * page.shape[2], 1, cv2.LINE_AA)
