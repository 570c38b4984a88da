"""What an endpoint may be asked for, given that the bill knows tokens, cache classes and requests, and nothing else.

Owns the consequence of prices that no bill of ours can form: what they are for is not accepted. Does not form bills.
Invariant: whatever passes here is charged at the price that the catalogue shows.
"""

from typing import NamedTuple

from services.router.core.catalogue import Price
from services.router.core.vocabulary import NOTHING


class Accepted(NamedTuple):
    """Attributes:
    refused_parameters: left out of what the provider is sent.
    """

    input_modalities: frozenset[str]
    refused_parameters: tuple[str, ...]
    serves: frozenset[str]


def accepted(price: Price, inputs: frozenset[str], outputs: frozenset[str], serves: frozenset[str]) -> Accepted:
    """What is left of an endpoint's abilities."""
    others = dict(price.others)
    refused: list[str] = []
    if others.get("audio", price.prompt) != price.prompt:
        inputs -= {"audio"}
    if "image" in others:
        inputs -= {"image"}
    if others.get("audio_output", price.completion) != price.completion:
        refused += ["audio", "modalities"]
    if others.get("image_output", price.completion) != price.completion and not outputs.isdisjoint({"image", "audio"}):
        serves = NOTHING
    if "web_search" in others:
        refused.append("web_search_options")
    return Accepted(inputs, tuple(refused), serves)
