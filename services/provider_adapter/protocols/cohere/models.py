"""What models behind Cohere's chat can do, by their names (wire facts §5).

Owns the table. Does not know prices or context lengths. Invariant: a name that nobody has listed can think, for every
newer model of this provider does.
"""

import re
from typing import NamedTuple

_PLAIN = re.compile(r"command-(?:r|text|light|nightly|a-03|a-vision|a-translate)|^command$|aya", re.IGNORECASE)
_STRICT = re.compile(r"command-r", re.IGNORECASE)


class Traits(NamedTuple):
    """One model's abilities.

    Attributes:
        thinks: whether `thinking` is known to it.
        strict_tools: whether calls can be held to their schemas.
        output_limit: tokens; what a share of the output is reckoned from where nobody set a limit.
    """

    thinks: bool
    strict_tools: bool = False
    output_limit: int = 32_000


def traits_of(model: str) -> Traits:
    """The traits of a provider's model id."""
    return Traits(thinks=_PLAIN.search(model) is None, strict_tools=_STRICT.search(model) is not None)
