"""The learners' pages: the Python of each runs from top to bottom, and its assertions hold."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "docs" / "learn"
PAGES = sorted(page.relative_to(ROOT).as_posix() for page in ROOT.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks, f"{page} shows no code"
    exec(compile("\n".join(blocks), page, "exec"), {})
