"""The commands: one file each, named after the command without its `pesc_`.

Look (ask the schedd, print):

* `q`, `history`, `status`     the queue, what has left it, the machines
* `wait`, `progress`           until jobs are over; the live bar of `pesc_submit --wait`
* `tail`, `fetch`              what jobs write while they run; what they left behind

Act:

* `submit`                     a submit file becomes a cluster
* `rm`, `hold`, `release`, `prio`, on top of `act`
* `pool`                       daemons of a personal pool, on top of `daemons` and `processes`
* `token`                      a token for somebody else

Shared: `common` (arguments, complaints, exit codes), `selection` (which jobs are meant),
`adtext` (ads as text), `evaluate` (expressions over ads), `folder` (files from elsewhere
are written nowhere else). `schedd` and `startd` are never imported: all goes through the API.
"""

import signal
import sys

if sys.argv[0].rpartition("/")[2].startswith("pesc_") and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `common.run` begins, Ctrl-C ends a command in silence, wherever among the imports it comes.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
