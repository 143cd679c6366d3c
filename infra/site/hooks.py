"""Hooks of MkDocs: the site has every page of the repository, under the path that it has there.

Guarantee: a link between two pages, or from a page to a file, is the same in the repository and on the site; one that
leads nowhere fails the build. Nothing that a page loads comes from another host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
ASSETS: Final = {
    "assets/mermaid.js": ROOT / ".stack/site/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js",
    "assets/site.css": HERE / "site.css",
}
FOLDERS: Final = ("docs", "infra", "services", "shared", "tests")
_LINK: Final = re.compile(r"\]\((?!https?:|#)([^)\s#]+)")
_CELL: Final = re.compile(r"<td\b.*?</td>", re.DOTALL)
_CODE: Final = re.compile(r"(?<=<code>)[^<&]+(?=</code>)")
_SEPARATOR: Final = re.compile(r"(::|[_/.=-])(?=\w)")


def pages() -> list[Path]:
    """All pages of the repository."""
    inside = [page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *inside])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the decisions in the navigation, each under its title."""
    decisions = [page.relative_to(ROOT).as_posix() for page in sorted((ROOT / "docs/decisions").glob("0*.md"))]
    for entry in config.nav or []:
        if "Each decision" in entry:
            entry["Each decision"] = decisions
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace what MkDocs has found in docs/ by all pages, the files that they link to, and the assets."""
    sources = {page.relative_to(ROOT).as_posix(): page for page in pages()}
    for page in list(sources.values()):
        sources |= {target.relative_to(ROOT).as_posix(): target for target in _linked_files(page)}
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    ours = [File.generated(config, uri, abs_src_path=str(path)) for uri, path in {**sources, **ASSETS}.items()]
    return Files([*of_theme, *ours])


def on_page_content(html: str, **_: object) -> str:
    """Let long names in tables break after a separator."""
    return _CELL.sub(lambda cell: _CODE.sub(lambda code: _SEPARATOR.sub(r"\1<wbr>", code[0]), cell[0]), html)


def _linked_files(page: Path) -> Iterator[Path]:
    for link in _LINK.findall(page.read_text()):
        target = (page.parent / link).resolve()
        if target.is_file() and target.suffix != ".md" and target.is_relative_to(ROOT):
            yield target
