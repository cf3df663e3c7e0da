"""What the texts mean: `classad` (expressions, ads, matching) and `submit` (.pesc files).

Pure: no clock, no randomness, no I/O, no `async`; it imports nothing else of ours.
"""


class DslError(Exception):
    """The user's text is wrong."""
