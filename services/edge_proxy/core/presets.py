"""Parameters that a model has of itself, where the caller says nothing.

Owns how they get into a request. Does not know which there are: the catalogue does. Invariant: what the caller set stands.
"""

from collections.abc import Collection

import orjson


def with_preset(body: bytes, preset: bytes, given: Collection[str]) -> bytes:
    """A request's JSON object with what is missing of a preset.

    Args:
        body: a JSON object with at least one field.
        preset: the inside of a JSON object, without braces.
        given: names of parameters that the caller set to something.
    """
    missing = {name: value for name, value in orjson.loads(b"{" + preset + b"}").items() if name not in given}
    if not missing:
        return body
    # Of a name that comes twice the later value holds: so a null of the caller's is as if absent.
    return body.rstrip()[:-1] + b"," + orjson.dumps(missing)[1:]
