"""What two programs of PESC must agree on; it imports nothing else of ours.

Read in this order:

* `vocabulary`  numbers and names both ends use: job states, phases, ids, bounds
* `messages`    what a startd and the schedd say to each other over the WebSocket
* `shells`      what is said about a shell in a job's place, from the command to the machine
* `requests`    the bodies of the HTTP API: submissions, selections, answers
* `endpoints`   the one table of the HTTP API: path, method, who may call it
* `problems`    how a refusal is said: code, what, why, what to do
* `tokens`      signed, scoped, expiring proofs of who is calling
* `places`      where a pool keeps its files, and how a command finds a pool
* `client`      the HTTP client every command and the startd use
"""
