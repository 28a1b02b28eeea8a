"""Scores of what is left of the noise, each the mean over images or recordings and levels of noise.

Images are compared by scikit-image, on a scale of 0 to 1. Answers by case: `psnr` and `ssim`, or `snr` and `error`.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.config import LaminaError
from lamina.evaluate.metrics import Answers, metric
from lamina.tasks.denoising.state import Form

WINDOW, SPREAD = 11, 1.5  # of the structural similarity, as its authors have it
MOST = 100.0  # dB, where nothing differs


def names(form: Form) -> tuple[str, ...]:
    """All scores, those of a form first; the first is primary."""
    images, series = ("psnr", "ssim"), ("snr", "noise_rmse")
    return (*images, *series) if form == "image" else (*series, *images)


@functools.cache
def require() -> Any:
    """scikit-image's metrics. Errors: LaminaError with how to install it."""
    try:
        from skimage import metrics
    except ImportError:
        raise LaminaError(
            "denoising: images are evaluated by scikit-image, which is not installed. Install it: pip install "
            "'lamina[denoising]'"
        ) from None
    return metrics


def of_image(clean: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """PSNR in dB and SSIM (Wang et al. 2004) of an image (height, width, channels) of 0 to 1, cut off at black and
    white; SSIM is not defined for less than 11 pixels.
    """
    similar = np.nan
    if min(clean.shape[:2]) >= WINDOW:
        visible = np.clip(answer, 0, 1).astype(np.float64)
        clean = clean.astype(np.float64)
        similar = require().structural_similarity(
            clean, visible, data_range=1.0, channel_axis=2, gaussian_weights=True, sigma=SPREAD,
            use_sample_covariance=False,
        )  # fmt: skip
    return {"psnr": decibels("image", clean, answer), "ssim": float(similar)}


def decibels(form: Form, clean: np.ndarray, answer: np.ndarray) -> float:
    """The primary score alone: PSNR of images, SNR of series, 100 at most."""
    if form == "image":
        visible = np.clip(answer, 0, 1).astype(np.float64)
        with np.errstate(divide="ignore"):
            score = require().peak_signal_noise_ratio(clean.astype(np.float64), visible, data_range=1.0)
        return float(min(score, MOST))
    error = float(np.square(answer - clean, dtype=np.float64).mean())
    power = float(np.square(clean - clean.mean(axis=0), dtype=np.float64).mean())
    return float(min(10 * np.log10(max(power, 1e-12) / max(error, 1e-12)), MOST))


def of_series(clean: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """How far the noise lies below the signal in dB, and its root mean square, of a recording (steps, channels)."""
    error = float(np.square(answer - clean, dtype=np.float64).mean())
    return {"snr": decibels("series", clean, answer), "error": error**0.5}


def of(form: Form, clean: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    return of_image(clean, answer) if form == "image" else of_series(clean, answer)


def columns(scores: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Scores of cases as arrays; one that is defined for some is a mean of these."""
    arrays = {name: np.array([one[name] for one in scores]) for name in scores[0]} if scores else {}
    return {name: values for name, values in arrays.items() if np.isfinite(values).all()}


@metric(True, "psnr", label="PSNR (dB)")
def psnr(target: np.ndarray, answers: Answers) -> float:
    """Mean peak signal-to-noise ratio: 20 dB is a mean error of a tenth of white, 40 dB of a hundredth."""
    return float(answers["psnr"].mean())


@metric(True, "ssim", label="SSIM")
def ssim(target: np.ndarray, answers: Answers) -> float:
    """Mean structural similarity, 1 where nothing differs."""
    return float(answers["ssim"].mean())


@metric(True, "snr", label="SNR (dB)")
def snr(target: np.ndarray, answers: Answers) -> float:
    """Mean signal-to-noise ratio: how far what is wrong lies below what the signal does."""
    return float(answers["snr"].mean())


@metric(False, "error", label="RMSE (deviations)")
def noise_rmse(target: np.ndarray, answers: Answers) -> float:
    """Mean root of the squared error, in training deviations."""
    return float(answers["error"].mean())
