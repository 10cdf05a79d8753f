"""The contract of a voice service, as data: one row for each vendor, made of typed fields.

The type of a field decides what validation accepts, what an editor shows, whether it is a credential (masked, refused
as a literal, compared by digest), and whether it is a URL (a destination of secrets). `kinds` holds the types, `rows`
the rows, `agora/` the tables; `check`, `jsonschema`, `places`, `offers` and `literals` only read them.
"""
