"""Contents by SHA-256 (`cache`, `transfer`), a folder per run (`sandbox`), what it leaves
(`outputs`, `tails`), and the startd's own memory (`journal`). `paths` checks every path from outside.
"""
