"""What a startd decides, and why; pure. Read `events`, `jobrun`, `startd`.

`startd` lists the duties, each a module; `state` is what they work on. `claims` counts what is free, `owner` asks
START, `ladder` says how far the owner is given way to, `verdict` why a run is over, `builds` keeps the builds of
images, `contract` says what a job's process gets, `words` what people read, `launch` is a run made ready.
"""
