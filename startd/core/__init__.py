"""What a startd decides, and why; pure. Read `events`, `jobrun`, `startd`.

`owner` asks START, `contract` says what a job's process gets, `words` what people
read, `launch` is a run made ready.
"""
