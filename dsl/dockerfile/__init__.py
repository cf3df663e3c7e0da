"""Dockerfiles: how an image is made, read and checked before anything is built.

* `reader`      from text to instructions, each knowing where it stands
* `processors`  for which kinds of processors it is built
* `references`  names of images, and whether a pool's policy allows them
* `checking`    what is wrong with a Dockerfile, said where it is written
"""

from dsl.dockerfile.checking import Checked, check
from dsl.dockerfile.reader import Instruction, read
from dsl.dockerfile.references import OWN_BASES, is_allowed, is_reference

__all__ = ["OWN_BASES", "Checked", "Instruction", "check", "is_allowed", "is_reference", "read"]
