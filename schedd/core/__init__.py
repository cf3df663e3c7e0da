"""What the schedd decides; pure. Time comes in as an argument, changes go out as an `Outcome`.

Read `job` first (the life of a job is one table), then `pool` (what happens on each
event), then what it leans on:

* `job`         a job, its run, and TRANSITIONS
* `cluster`     a template, a count, and the jobs of it that have become rows
* `machine`     amounts, claims, lease
* `submission`, `actions`          what people bring about
* `runs`, `reconcile`, `leases`    what startds say, what they should have, their silence
* `ends`, `judge`                  the end of a run, and what it means for its job
* `waiting`     who waits, grouped by what matters to matching
* `matchmaker`  the pure function from demands and offers to matches
* `accounts`    who has used how much of late
* `selection`   which jobs a command means
* `ads`         jobs and machines as ClassAds
* `outcome`     what must be saved, sent and said after an event
"""
