"""What the documents say is what the code does."""

import subprocess
import sys
from pathlib import Path

from schedd.core.cluster import DYNAMIC

ROOT = Path(__file__).resolve().parent.parent


def test_the_reference_pages_drawn_from_the_code_are_up_to_date():
    checked = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False)
    assert checked.stdout + checked.stderr == ""


def test_every_attribute_that_the_schedd_adds_to_a_job_is_documented():
    page = (ROOT / "docs" / "reference" / "ads.md").read_text().lower()
    assert [name for name in sorted(DYNAMIC) if f"`{name}`" not in page] == []
