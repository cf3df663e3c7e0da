"""Domains: the named environments that jobs run in, and what they are made by.

* `recipes`  packages become lines of a Dockerfile; a recipe becomes its key
* `entries`  the ready domains in `store/`: a Dockerfile with parameters and a few words about it
"""

from dsl.domains.entries import Entry, entry_of
from dsl.domains.recipes import BadPackage, key_of, with_packages

__all__ = ["BadPackage", "Entry", "entry_of", "key_of", "with_packages"]
