"""What a voice service accepts, as data: one row for each vendor, made of typed fields.

The type of a field decides everywhere: what validation takes, what an editor is told, what is a credential (masked,
refused as a literal, compared by digest), what is an address (a destination of secrets). `kinds` holds the types, `rows`
the rows, `agora/` the tables; `check`, `jsonschema`, `places`, `offers` and `literals` only read them.
"""
