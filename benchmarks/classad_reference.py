"""HTCondor's own ClassAd library, from the PyPI package `htcondor`, as the peer of the ClassAd measures.

`htcondor2` must be imported before `classad2`: it switches the language to the mode
of HTCondor's daemons. Without a configuration of its own it would look for one.
"""

import os

os.environ.setdefault("CONDOR_CONFIG", "/dev/null")

import htcondor2  # noqa: F401
from classad2 import ClassAd, ExprTree

__all__ = ["ClassAd", "ExprTree"]
