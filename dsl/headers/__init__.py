"""The header: a few lines at the top of a program that turn what PESC tells it into plain variables.

`texts` holds one for each language. `putting_in` puts it into a copy of an interpreted
program that uses its variables and does not have it; what it looks for is in `wanting`.
All of it is text in, text out.
"""

from dsl.headers.putting_in import Copy, LeftAlone, put_in
from dsl.headers.texts import ALIASES, HEADERS, INJECTED, VARIABLES, VERSION, header

__all__ = ["ALIASES", "HEADERS", "INJECTED", "VARIABLES", "VERSION", "Copy", "LeftAlone", "header", "put_in"]
