"""The HTTP API on Sanic, and the WebSocket of the startds.

* `app`       builds the application from the table in `contract.endpoints`
* `gate`      who is calling, and may they
* `jobs`      submissions, queue, history, actions
* `streams`   server-sent events: events, counts, output of running jobs
* `contents`  blobs in and out
* `startds`   the WebSocket of the startds
* `shells`    the WebSocket of those who look inside a job
* `openapi`   the document
"""
