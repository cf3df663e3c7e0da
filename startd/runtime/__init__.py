"""What runs the jobs: `interface` says what a runtime owes, `process` is the one of today.

`process` asks through `keeperlink`; `keeper` (with `kin` and `keeperjournal`) is a process
of its own and imports nothing but the standard library; so is `porter`, for one shell inside
a run. `usage` watches limits, `procfs` reads /proc.
"""
