"""SQLite: the schedd's memory on disk, and the only SQL.

* `schema`   tables, and what each row is
* `rows`     an `Outcome` as statements, and rows as values again; pure
* `store`    the database file: group commits, reading, small contents
"""
