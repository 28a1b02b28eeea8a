"""Images side by side, each with words below, in as many columns as there is room for."""

import html
from collections.abc import Sequence

import streamlit as st

from lamina.apps.try_app import cells
from lamina.preprocess.image import codec

MOST, FEW = 96, 2
TALL, WIDEST = 280, 840  # pixels of a large image


def show(images: Sequence[tuple[bytes | None, str]]) -> None:
    """Images with their captions, a few of them large. What cannot be decoded is said so."""
    large = len(images) <= FEW
    figures = "".join(_figure(body, caption, large) for body, caption in images[:MOST])
    st.html(f'<div class="lamina-gallery{" lamina-large" if large else ""}">{figures}</div>')
    if len(images) > MOST:
        st.caption(f"The first {MOST} of {len(images):,}; the download has all.")


def _figure(body: bytes | None, caption: str, large: bool) -> str:
    address, words = cells.address(body) if body else "", html.escape(caption)
    height, width = (codec.upright_shape(body) if body else None) or (1, 1)
    room = f' style="max-width:{min(WIDEST, TALL * max(width / height, 1)):.0f}px"' if large else ""
    image = f'<img src="{address}" alt="{words or "an image"}">' if address else "<p>no image</p>"
    return f"<figure{room}>{image}<figcaption>{words}</figcaption></figure>"
