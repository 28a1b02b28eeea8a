"""Hooks of MkDocs: pages as GitHub shows them, recipes beside them, and nothing that a browser fetches elsewhere."""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

RECIPES = Path(__file__).parents[2] / "recipes"
LOADS = re.compile(
    r"<(?:script|img|iframe|video|source)\b[^>]*\ssrc=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|icon|preconnect|preload|prefetch|manifest))[^>]*\shref=[\"']?(?:https?:)?//[^\"'\s>]+"
    r"|(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"')\s]+"
)


def on_files(files: Files, config: Any) -> Files:
    """Recipes are files of the site."""
    for path in sorted(RECIPES.glob("*.yaml")):
        files.append(File.generated(config, f"recipes/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links that lead out of docs/, words behind a block's language, and tables right below a comment."""
    markdown = markdown.replace("](../recipes/", "](recipes/").replace("](../recipes)", "](recipes.md)")
    markdown = re.sub(r"^```(\w+) [^\n]+$", r"```\1", markdown, flags=re.MULTILINE)
    return re.sub(r"^(<!-- .+? -->)\n(?=\|)", r"\1\n\n", markdown, flags=re.MULTILINE)


def on_post_build(config: Any) -> None:
    """Fail where a page or style would load anything over the network by itself."""
    site = Path(config["site_dir"])
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        if outside := LOADS.findall(path.read_text("utf-8")):
            raise PluginError(f"{path.relative_to(site)} loads from elsewhere: {outside[0]}")
