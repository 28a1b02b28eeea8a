"""What is left of a classifier of images when they are compressed, blurred or shrunk on their way to it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lamina.evaluate import metrics
from lamina.preprocess.image.codec import opencv
from lamina.schema import Row
from lamina.task import Session

MAX_ROWS = 2_000  # test images
BATCH = 256
METRICS = ("accuracy", "roc_auc", "log_loss")


def table(session: Session, inputs: Mapping[str, np.ndarray], target: np.ndarray) -> list[Row]:
    """Scores of a network of images by corruption: rows with its name (`damage`) and the metrics, the first without.

    `inputs`: encoded test images (rows, height, width, channels) uint8 by name, `target` their codes. Corruptions are
    done to images as the network sees them, by OpenCV.
    """
    if len(target) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(len(target))[:MAX_ROWS])
        inputs, target = {name: values[rows] for name, values in inputs.items()}, target[rows]
    ((input_name, images),) = inputs.items()
    table = []
    for name, corrupt in CORRUPTIONS.items():
        answers = _answers(session, input_name, np.stack([corrupt(image) for image in images]))
        table.append({"damage": name, "rows": len(target), **metrics.scores(METRICS, target, answers)})
    return table


def _answers(session: Session, name: str, images: np.ndarray) -> dict[str, Any]:
    task: Any = session.task
    parts = [session.run({name: images[start : start + BATCH]}) for start in range(0, len(images), BATCH)]
    return task.decode({output: np.concatenate([part[output] for part in parts]) for output in parts[0]})


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def corrupt(image: np.ndarray) -> np.ndarray:
        cv2, grey = opencv(), image.shape[2] == 1
        success, body = cv2.imencode(".jpg", image[:, :, ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert success
        back = cv2.imdecode(body, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        return back[:, :, None] if grey else back[:, :, ::-1]

    return corrupt


def _blur(image: np.ndarray) -> np.ndarray:
    return opencv().GaussianBlur(image, (0, 0), 1.0).reshape(image.shape)


def _shrink(image: np.ndarray) -> np.ndarray:
    """To half the side and back."""
    cv2, (height, width) = opencv(), image.shape[:2]
    small = cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(image.shape)


CORRUPTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda image: image,
    "JPEG, quality 75": _jpeg(75),
    "JPEG, quality 50": _jpeg(50),
    "blur of 1 pixel": _blur,
    "half the size and back": _shrink,
}
