"""The schedd: keeps the queue, matches jobs with machines, serves the HTTP API.

    __main__ -> api -> loop -> store -> core -> dsl, contract

* `core/`     decides: one state machine over values in memory, no I/O, no clock
* `store/`    SQLite, the only SQL
* `loop`      ties them: applies events, commits their changes in groups, then lets
              instructions and answers go
* `api/`      Sanic: the HTTP API and the WebSocket of the startds
* `shells`    what is open inside running jobs, passed on between users and machines
* `blobs`     contents by SHA-256: small ones in the database, large ones in files
* `userlog`   writes `log = …` in HTCondor's format; `delivery` puts outputs where
              the submit file wants them
"""
