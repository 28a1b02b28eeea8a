"""Pictures side by side, each with words below, in as many columns as there is room for."""

import html
from collections.abc import Sequence

import streamlit as st

from lamina.apps.try_app import cells

MOST = 96


def show(pictures: Sequence[tuple[bytes | None, str]], large: bool = False) -> None:
    """Pictures with their captions; those that are `large` have more room. What cannot be decoded is said so."""
    figures = "".join(_figure(body, caption) for body, caption in pictures[:MOST])
    st.html(f'<div class="lamina-gallery{" lamina-large" if large else ""}">{figures}</div>')
    if len(pictures) > MOST:
        st.caption(f"The first {MOST} of {len(pictures):,}; the download has all.")


def _figure(body: bytes | None, caption: str) -> str:
    address = cells.address(body) if body else ""
    words = html.escape(caption)
    image = f'<img src="{address}" alt="{words}">' if address else "<p>no picture</p>"
    return f"<figure>{image}<figcaption>{words}</figcaption></figure>"
