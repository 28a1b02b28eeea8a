"""Styles of the parts that Streamlit has no widget for: the answer, its bars, images, written text, marked words."""

import re
from importlib.resources import files

_page = (files("lamina.evaluate") / "page.html").read_text("utf-8")
MARKS = "\n".join(re.findall(r"^mark.*?\}$", _page, re.MULTILINE | re.DOTALL))  # as the report marks words

STYLE = f"""<style>
.st-key-answer {{ position: sticky; top: 4.5rem; }}
.lamina-quiet {{ margin: 0 0 4px; font-size: 14px; opacity: 0.68; overflow-wrap: anywhere; }}
.lamina-answer {{ margin: 0 0 6px; font-size: 36px; line-height: 1.2; font-weight: 600; letter-spacing: -0.015em;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
dl.lamina-facts.lamina-facts {{ display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 10px 0 0; padding: 0; }}
.lamina-even dd {{ font-size: 22px; font-weight: 600; }}
.lamina-facts dt {{ font-size: 13px; opacity: 0.68; }}
.lamina-facts div, .lamina-facts dd {{ margin: 0; padding: 0; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }}
.lamina-bar {{ display: grid; grid-template-columns: minmax(60px, 30%) 1fr 52px; gap: 10px; align-items: center;
  margin: 5px 0; font-size: 14px; }}
.lamina-bar span {{ overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.lamina-bar span:last-child {{ text-align: right; font-variant-numeric: tabular-nums; }}
.lamina-bar i {{ display: block; height: 10px; border-radius: 5px; background: rgba(128, 140, 155, 0.22);
  overflow: hidden; }}
.lamina-bar b {{ display: block; height: 100%; border-radius: 5px; }}
.lamina-gallery {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 14px; }}
.lamina-gallery.lamina-large {{ grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }}
.lamina-gallery figure {{ margin: 0; min-width: 0; }}
.lamina-gallery img {{ display: block; width: 100%; height: auto; border-radius: 6px; image-rendering: pixelated; }}
.lamina-gallery figcaption {{ margin-top: 4px; font-size: 13px; opacity: 0.68; overflow-wrap: anywhere; }}
.lamina-text {{ padding: 14px 16px; border-radius: 10px; background: rgba(128, 140, 155, 0.1); white-space: pre-wrap;
  overflow-wrap: anywhere; line-height: 1.6; }}
.lamina-text p {{ margin: 0 0 6px; }}
p.text {{ line-height: 1.75; overflow-wrap: anywhere; }}
{MARKS}
</style>"""
