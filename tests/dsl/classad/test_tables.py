"""The tables that the parser runs are those that Lark makes of the grammar."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsl.classad

TABLES = Path(dsl.classad.__file__).with_name("tables.py")


@pytest.mark.parametrize("seed", ["0", "3"])
def test_the_tables_are_those_of_the_grammar_whatever_the_hash_seed(seed: str) -> None:
    program = "from dsl.classad.maketables import source_text; print(source_text(), end='')"
    made = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True,
                          env=os.environ | {"PYTHONHASHSEED": seed}).stdout
    assert made == TABLES.read_text(), "see dsl/classad/maketables.py for how to make tables.py again"
