"""Why a plan is what it is, in words.

Owns the words: for each endpoint which value of the request met which of its own. Decides nothing. Invariant: nothing
of a request's content is repeated, for the router has none.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from libs.money import format_usd
from services.router.core.catalogue import Endpoint
from services.router.core.constraints import Constraint
from services.router.core.wishes import Wishes


def detail(endpoint: Endpoint, constraint: Constraint, wishes: Wishes) -> str:
    """Which value met which bound; empty where the constraint's name says it all."""
    say = _WORDS.get(constraint)
    return say(endpoint, wishes) if say is not None else ""


def _operation(endpoint: Endpoint, wishes: Wishes) -> str:
    return f"asked for {wishes.features.operation}; it does {_listed(endpoint.serves) or 'nothing that can be billed'}"


def _prices(endpoint: Endpoint, _: Wishes) -> str:
    price = endpoint.price
    return (
        f"it costs {format_usd(price.prompt)} USD per million prompt tokens, {format_usd(price.completion)} per million"
        f" completion tokens and {format_usd(price.request // 1_000_000)} per request"
    )


def _context(endpoint: Endpoint, wishes: Wishes) -> str:
    features = wishes.features
    room = min(endpoint.max_prompt_tokens or endpoint.context_length, endpoint.context_length)
    return f"about {features.prompt_tokens + (features.max_tokens or 0)} tokens were asked for; it takes {room}"


def _output_limit(endpoint: Endpoint, wishes: Wishes) -> str:
    return f"{wishes.features.max_tokens} tokens were asked for; it gives {endpoint.max_completion_tokens}"


def _parameters(endpoint: Endpoint, wishes: Wishes) -> str:
    return f"it is not known to take {_listed(wishes.features.parameters - endpoint.supported_parameters)}"


def _quantization(endpoint: Endpoint, wishes: Wishes) -> str:
    return f"its quantization is {endpoint.quantization}; asked for {_listed(wishes.preferences.quantizations)}"


def _inputs(endpoint: Endpoint, wishes: Wishes) -> str:
    return f"it does not take {_listed(wishes.features.input_modalities - endpoint.input_modalities)}"


def _outputs(_: Endpoint, wishes: Wishes) -> str:
    return f"asked for {_listed(wishes.features.output_modalities)}"


def _tier(endpoint: Endpoint, _: Wishes) -> str:
    return f"its tag is {endpoint.tag}, its service tier {endpoint.service_tier or 'default'}"


def _region(endpoint: Endpoint, wishes: Wishes) -> str:
    return f"it is in {endpoint.region or 'no stated region'}; the account allows {wishes.policy.region}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


_WORDS: Final[Mapping[Constraint, Callable[[Endpoint, Wishes], str]]] = {
    Constraint.OPERATION: _operation,
    Constraint.DATA_REGION: _region,
    Constraint.TRAINING: lambda *_: "it keeps prompts or trains on them, or does not say that it does not",
    Constraint.ZERO_DATA_RETENTION: lambda *_: "it is not known to keep nothing",
    Constraint.QUANTIZATION: _quantization,
    Constraint.MAX_PRICE: _prices,
    Constraint.REQUIRE_PARAMETERS: _parameters,
    Constraint.INPUT_MODALITIES: _inputs,
    Constraint.OUTPUT_MODALITIES: _outputs,
    Constraint.WEB_SEARCH: lambda *_: "it does not search the web at a price that can be billed",
    Constraint.SERVICE_TIER: _tier,
    Constraint.CONTEXT_LENGTH: _context,
    Constraint.MAX_TOKENS: _output_limit,
    Constraint.TOOLS: lambda *_: "others support tools",
    Constraint.RESPONSE_FORMAT: lambda *_: "others support response_format",
    Constraint.STRUCTURED_OUTPUTS: lambda *_: "others support structured_outputs",
    Constraint.VERBOSITY: lambda *_: "others support verbosity",
}
