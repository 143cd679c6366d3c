"""The documentation as a site: every page is on it, every link leads somewhere, nothing comes from another host."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("docs", "infra", "services", "shared", "tests")
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?([^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=["']?([^"'\s>]+)"""
)
"""What a browser loads with a page; links that a reader may follow are not among it."""


def _pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))]


def _url(page: Path) -> str:
    """Where the page is on the site."""
    path = page.relative_to(ROOT).with_suffix("")
    folder = path.parent if path.name == "README" else path
    return (folder / "index.html").as_posix()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "infra/site/build.py"), "--site-dir", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


@pytest.mark.thorough
def test_every_page_is_on_the_site_and_can_be_searched(site: Path) -> None:
    pages = _pages()
    assert len(pages) > 40
    assert [str(page) for page in pages if not (site / _url(page)).is_file()] == []
    indexed = {entry["location"].partition("#")[0] for entry in _index(site)["docs"]}
    assert {_url(page).removesuffix("index.html") for page in pages} <= indexed


def _index(site: Path) -> dict[str, list[dict[str, str]]]:
    index: dict[str, list[dict[str, str]]] = json.loads((site / "search/search_index.json").read_text())
    return index


@pytest.mark.thorough
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = [
        (page, source or link) for page in site.rglob("*.html") for source, link in LOADED.findall(page.read_text())
    ]
    assert len(loaded) > 100
    assert [f"{page}: {url}" for page, url in loaded if re.match(r"\w+:(?!image/)|//", url)] == []
    ours = [(page, url) for page, url in loaded if not url.startswith("data:")]
    missing = [
        f"{page}: {url}"
        for page, url in ours
        if not (site / url.lstrip("/") if url.startswith("/") else page.parent / url).is_file()
    ]
    assert missing == []


@pytest.mark.thorough
def test_no_style_loads_a_font_or_anything_else_from_another_host(site: Path) -> None:
    styles = [*site.rglob("*.css")]
    assert styles
    for style in styles:
        assert re.findall(r"""(?:url\(["']?|@import\s+["'])(?:https?:)?//[^)"']*""", style.read_text()) == []


@pytest.mark.thorough
def test_pages_with_diagrams_load_our_copy_of_mermaid(site: Path) -> None:
    assert (site / "assets/mermaid.js").stat().st_size > 1_000_000
    page = (site / "docs/architecture/index.html").read_text()
    assert page.count('class="mermaid"') == 4
    assert 'src="../../assets/mermaid.js"' in page
    # the theme loads a copy from elsewhere if this name is missing
    assert 'globalThis["mermaid"]' in (site / "assets/mermaid.js").read_text()[-1000:]


@pytest.mark.thorough
def test_a_link_or_heading_that_does_not_exist_fails_the_build(site: Path, tmp_path: Path) -> None:
    assert site.is_dir()  # so Mermaid is installed
    linked = [*ROOT.glob("docs/results/*"), ROOT / "LICENSE", ROOT / "docker-compose.yml", ROOT / "mkdocs.yml"]
    for path in [*_pages(), *linked, *ROOT.glob("infra/site/*.*")]:
        (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    (tmp_path / ".stack").symlink_to(ROOT / ".stack")
    links = ("gone.md", "saga.md#gone", "#gone", "../shared/gone/", "../docker-compose.yml")
    with (tmp_path / "docs/health.md").open("a") as page:
        page.write("\n" + " ".join(f"[x]({link})" for link in links))
    command = [sys.executable, str(tmp_path / "infra/site/build.py")]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 1
    named = [link for link in links if f"link '{link}'" in built.stderr]
    assert named == list(links[:4]), built.stderr


def test_the_navigation_follows_the_reading_order() -> None:
    index = (ROOT / "docs/README.md").read_text()
    in_order = [
        (ROOT / "docs" / link).resolve() for link in re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", index, re.MULTILINE)
    ]
    assert len(in_order) > 15
    listed = [
        ROOT / page for page in re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    ]
    assert [page for page in listed if page in in_order] == in_order


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((ROOT / "infra/site/package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
