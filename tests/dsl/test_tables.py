"""The tables that the parsers run are those that Lark makes of the grammars."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dsl
from dsl.maketables import GRAMMARS


@pytest.mark.parametrize("seed", ["0", "3"])
@pytest.mark.parametrize("name", sorted(GRAMMARS))
def test_the_tables_are_those_of_the_grammar_whatever_the_hash_seed(name: str, seed: str) -> None:
    program = f"from dsl.maketables import source_text; print(source_text({name!r}), end='')"
    made = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True,
                          env=os.environ | {"PYTHONHASHSEED": seed}).stdout
    kept = Path(dsl.__file__).parent / Path(GRAMMARS[name].file).with_name("tables.py")
    assert made == kept.read_text(), "see dsl/maketables.py for how to make tables.py again"
