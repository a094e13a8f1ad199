"""Parts that come along, each a file as in a user's own parts/: a function with a decorator of `bench.parts`.

A file here is found by its syntax, so it needs no entry in any list; its signature is its settings and its docstring
the help. What differs from a user's own file: the run key holds name and settings in place of a hash of the code, so
a change that changes numbers needs a function in `bench.schema.corrections`; and planning reads the signature
without importing the file (`bench.parts.outline`), so annotations and defaults of settings use pydantic, typing and
`bench.schema` only.
"""
