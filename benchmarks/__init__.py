"""What PESC costs, beside what others cost in the same run. `make bench`, or ONLY=name.

Read `__main__` (what there is), then one of the measures: `throughput`, `latency`, `scale`,
`messages`, `store`. Each asserts first that the work was done right, then returns rows for
one table. `pools` brings up a pool of their own in a scratch folder; `meters` reads clocks.

Rates on a shared machine are noisy: ratios within one run and CPU per job are what counts.
"""
