"""A machine of the pool: takes on runs, starts them, watches them, brings back what they leave.

Read in this order:

* `core`      what is decided: the life of a run, fencing, the owner's last word; pure
* `loop`      decides, records, does: ties the core to the rest, and names the modules that take their time
* `runtime`   what runs the jobs; today plain processes below a keeper that outlives the startd
* `files`     contents, sandboxes, outputs, the journal
* `shells`    what people have open inside runs
* `monitors`  what the machine is like
* `dial`      finding the schedd
* `__main__`  pesc_startd
"""
