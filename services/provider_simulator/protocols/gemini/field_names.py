"""Field names as Google's JSON takes them: `topP` or `top_p`, the same field.

Owns the way to the first. Does not check anything. Invariant: names that callers choose (arguments, properties of
schemas) stay as they are.
"""

import re
from typing import Any

_SNAKE = re.compile(r"_([a-z0-9])")
_FREE = frozenset({"args", "response", "responseJsonSchema", "parametersJsonSchema", "default", "example"})
_NAMED = frozenset({"properties"})


def in_camel_case(value: Any) -> Any:
    """The value with every field of the format under its usual name."""
    if isinstance(value, list):
        return [in_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for name, inner in value.items():
        usual = _SNAKE.sub(lambda found: found[1].upper(), name)
        if usual in _FREE:
            made[usual] = inner
        elif usual in _NAMED and isinstance(inner, dict):
            made[usual] = {key: in_camel_case(schema) for key, schema in inner.items()}
        else:
            made[usual] = in_camel_case(inner)
    return made
