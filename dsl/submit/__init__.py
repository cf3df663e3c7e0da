"""Submit files: what a `.pesc` file (or one of HTCondor's) asks for.

`read` turns a text into a `Description`, or raises `SubmitErrors` with every mistake
in it; an `Expander` makes any single job of it. Read in this order:

* `lines`, `submit.lark`, `forms`, `parse`    from text to statements
* `statements`, `conditions`, `including`, `queue`, `items`, `several`    what the statements set, in order
* `sweeping`, `sweeps`, `csvtables`  rows that are computed: sweeps and tables
* `scan`, `macros`, `functions`      `$(name)` and `$FUNCTION(…)`
* `table`, `rows`                    every command there is, and what becomes of it
* `attributes`                       from commands to job attributes: the list of makers, which are in `environment`,
  `transfer`, `requirements`, `gpus`, `policy`, `pesc`, `simple`, with `values`, `amounts`, `quoting`, `expressions`
* `words`, `sense`                   which words are commands, macros, mistakes; which expressions make no sense
* `reading`, `program`, `description`   all of it together
* `expander`                         from a cluster to one job; all that the schedd needs
* `mistakes`                         how a mistake is said
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsl.submit.description import Description, Files, Site, Withheld
    from dsl.submit.expander import Expander, paths_of, plain_text
    from dsl.submit.mistakes import Mistake, SubmitErrors
    from dsl.submit.quoting import read_environment
    from dsl.submit.quoting import split as split_arguments
    from dsl.submit.reading import read

__all__ = ["Description", "Expander", "Files", "Mistake", "Site", "SubmitErrors", "Withheld", "paths_of", "plain_text",
           "read", "read_environment", "split_arguments"]

_HOMES = {
    "Description": "description", "Files": "description", "Site": "description", "Withheld": "description",
    "Expander": "expander", "paths_of": "expander", "plain_text": "expander",
    "Mistake": "mistakes", "SubmitErrors": "mistakes",
    "read": "reading", "read_environment": "quoting",
}


def __getattr__(name: str) -> Any:
    """Import late: the schedd expands clusters and never needs the reader."""
    import importlib

    if name == "split_arguments":
        return importlib.import_module("dsl.submit.quoting").split
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"dsl.submit.{_HOMES[name]}"), name)
