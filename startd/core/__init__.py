"""What a startd decides, and why; pure. Read `events`, `jobrun`, `startd`.

`claims` counts what is free, `owner` asks START, `contract` says what a job's process gets, `words` what people
read, `launch` is a run made ready.
"""
