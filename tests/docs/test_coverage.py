"""The coverage page tells what is there now: run `python tools/write_coverage.py` where this fails."""

import importlib.util
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "write_coverage.py"


def test_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("write_coverage", TOOL)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.page() == tool.PAGE.read_text("utf-8")
