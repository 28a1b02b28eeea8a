"""The page on which a generator is tried in a browser: one file, nothing from elsewhere."""

import base64
import hashlib
import html as escaping
import json

from lamina.deploy.predictor import Predictor
from lamina.deploy.server.limits import Limits
from lamina.tasks.generation import conditions as _where

FIRST = 24  # pictures that the page shows at once; of rows fewer
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: light-dark(#57606a, #a3adba); --blue: #2563eb }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2.5rem auto; padding: 0 1.2rem }
h1 { font-size: 1.5rem; margin: 0 } p { margin: .4rem 0 1.2rem; color: var(--soft) }
form { display: flex; flex-wrap: wrap; gap: .8rem; align-items: end; margin-bottom: 1.4rem }
label { display: grid; gap: .2rem; font-size: .85rem } input, select, textarea, button { font: inherit;
 padding: .35rem .6rem; border: 1px solid var(--line); border-radius: .4rem; background: transparent; color: inherit }
input { width: 8rem } textarea { width: 16rem }
button { background: var(--blue); color: #fff; border-color: var(--blue); cursor: pointer }
#made { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .8rem }
figure { margin: 0; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden }
img { width: 100%; display: block; image-rendering: pixelated } figcaption { font-size: .8rem; padding: .2rem .5rem }
table { border-collapse: collapse; font-size: .85rem } td, th { padding: .25rem .7rem; text-align: left;
 border-bottom: 1px solid var(--line); white-space: nowrap } #rows { overflow-x: auto } .fault { color: #dc2626 }
"""
SCRIPT = """
const form = document.forms[0], made = document.getElementById("made"), rows = document.getElementById("rows");
const said = document.getElementById("said");
function cell(name, text) { const e = document.createElement(name); e.textContent = text; return e }
function picture(one) {
  const figure = document.createElement("figure"), image = document.createElement("img");
  image.src = "data:image/png;base64," + one.image; image.alt = "made from seed " + one.seed;
  image.title = "seed " + one.seed; figure.append(image);
  if ("label" in one) figure.append(cell("figcaption", one.label));
  return figure;
}
function table(found) {
  const page = document.createElement("table"), head = page.insertRow();
  for (const name of Object.keys(found[0])) head.append(cell("th", name));
  for (const one of found) {
    const line = page.insertRow();
    for (const value of Object.values(one)) line.append(cell("td", value === null ? "" : value));
  }
  return page;
}
async function make(event) {
  if (event) event.preventDefault();
  const wish = {count: Number(form.count.value), seed: Number(form.seed.value)};
  if (form.label && form.label.value) wish.label = JSON.parse(form.label.value);
  const where = form.where ? form.where.value.split("\\n").filter(line => line.trim()) : [];
  if (where.length) wish.where = where;
  said.textContent = "making ..."; said.className = "";
  const start = performance.now();
  const answer = await fetch("generate", {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify(wish)});
  const found = await answer.json();
  if (!answer.ok) { said.textContent = found.error; said.className = "fault"; return }
  said.textContent = found.made.length + " made in " + Math.round(performance.now() - start) + " ms";
  const pictures = "image" in found.made[0] && "seed" in found.made[0];
  made.replaceChildren(...(pictures ? found.made.map(picture) : []));
  rows.replaceChildren(...(pictures ? [] : [table(found.made)]));
}
form.addEventListener("submit", make);
make();
"""


def _allowed(text: str) -> str:
    """A piece of the page as its security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src {_allowed(STYLE)}; script-src {_allowed(SCRIPT)}; "
    "img-src data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def html(predictor: Predictor, limits: Limits) -> str:
    """The whole page; everything that comes from the bundle is escaped."""
    bundle, rows = predictor.bundle, bool(predictor.state.columns)
    most = limits.rows if rows else limits.made
    of, start = ("rows", min(most, 10)) if rows else ("pictures", min(most, FIRST))
    options = "".join(
        f'<option value="{escaping.escape(json.dumps(name))}">{escaping.escape(name)}</option>'
        for name in predictor.state.classes[:1000]
    )
    chosen = f'<label>class<select name="label"><option value="">as in training</option>{options}</select></label>'
    asked = escaping.escape(_where.examples(bundle)[0]) if rows else ""
    where = f'<label>where, one in a line<textarea name="where" rows="1" placeholder="{asked}"></textarea></label>'
    told = "the answer says so in its field <code>source</code>" if rows else "each picture says so in its metadata"
    about = f"{bundle.model.kind}, bundle {bundle.id}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Made by {escaping.escape(about)}</title><style>{STYLE}</style></head><body>
<h1>New {of}, made by a network</h1>
<p>{escaping.escape(about)}. Nothing here is real, and {told}. The same seed makes the same.
<a href="docs">How to ask for them in a program</a></p>
<form>
<label>how many<input name="count" type="number" min="1" max="{most}" value="{start}"></label>
<label>seed<input name="seed" type="number" min="0" value="0"></label>
{chosen if options else ""}{where if rows else ""}<button>Make</button><span id="said"></span>
</form>
<div id="made"></div><div id="rows"></div>
<script>{SCRIPT}</script></body></html>"""
