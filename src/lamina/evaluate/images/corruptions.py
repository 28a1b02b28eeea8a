"""What is left of a classifier of pictures when they are compressed, blurred or shrunk on their way to it."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.preprocess.image.codec import opencv
from lamina.schema import Row

MOST = 2_000  # test pictures
BATCH = 256


def table(predictor: Predictor, inputs: Mapping[str, np.ndarray], target: np.ndarray) -> list[Row]:
    """The scores of a network of pictures for each damage: rows with `damage` and the metrics, the first untouched.

    `inputs`: encoded test pictures (rows, height, width, channels) uint8 by name, `target` their codes. Damage is done
    to pictures as the network sees them, by OpenCV.
    """
    if len(target) > MOST:
        rows = np.sort(np.random.default_rng(0).permutation(len(target))[:MOST])
        inputs, target = {name: values[rows] for name, values in inputs.items()}, target[rows]
    ((name, pictures),) = inputs.items()
    found = []
    for told, damage in DAMAGES.items():
        answers = _answers(predictor, name, np.stack([damage(picture) for picture in pictures]))
        scores = metrics.scores(("accuracy", "roc_auc", "log_loss"), target, answers)
        found.append({"damage": told, "rows": len(target), **scores})
    return found


def _answers(predictor: Predictor, name: str, pictures: np.ndarray) -> dict[str, Any]:
    parts = [predictor.fed({name: pictures[at : at + BATCH]}) for at in range(0, len(pictures), BATCH)]
    raw = {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}
    return predictor.task.decode(raw, predictor.state)


def _jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def damage(picture: np.ndarray) -> np.ndarray:
        cv2, grey = opencv(), picture.shape[2] == 1
        done, body = cv2.imencode(".jpg", picture[:, :, ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        back = cv2.imdecode(body, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        return back[:, :, None] if grey else back[:, :, ::-1]

    return damage


def _blurred(picture: np.ndarray) -> np.ndarray:
    return opencv().GaussianBlur(picture, (0, 0), 1.0).reshape(picture.shape)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """To half the side and back."""
    cv2, (height, width) = opencv(), picture.shape[:2]
    small = cv2.resize(picture, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).reshape(picture.shape)


DAMAGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda picture: picture,
    "JPEG, quality 75": _jpeg(75),
    "JPEG, quality 50": _jpeg(50),
    "blur of 1 pixel": _blurred,
    "half the size and back": _shrunk,
}
