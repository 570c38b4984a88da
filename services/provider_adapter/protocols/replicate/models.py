"""What the language models on Replicate take as input: each family has fields of its own.

Owns the table. Does not apply it: request.py does. Invariant: a model that is not listed is sent the fields alone that
nearly every model has, `prompt` and a limit.

Source: the input schemas on the models' own pages (replicate.com/OWNER/NAME/api) as they were in 2025 and 2026; a field
that a schema does not name is refused (422). Names that LiteLLM's price table has for models that go by another are
put right.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_NO_RENAMES: Mapping[str, str] = MappingProxyType({})
_RIGHT_NAMES: Mapping[str, str] = {
    "meta/llama-3-70b": "meta/meta-llama-3-70b-instruct",
    "meta/llama-3-70b-instruct": "meta/meta-llama-3-70b-instruct",
    "meta/llama-3-8b": "meta/meta-llama-3-8b-instruct",
    "meta/llama-3-8b-instruct": "meta/meta-llama-3-8b-instruct",
}
_SAMPLING = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})


class Inputs(NamedTuple):
    """The input of one family.

    Attributes:
        limit: the name of the output limit.
        least_limit: what the schema demands at least; a smaller one cannot be kept.
        usual_limit: set where the caller sets none, because the model's own is a fraction of what callers expect; 0: the
            model's own.
        system: the field of the system's words; empty: they open the prompt.
        images: the field of images; empty: there are none.
        one_image: it takes one, not a list.
        messages: whether a conversation can be told as messages.
        numbers: sampling parameters.
        stops: the field of stop sequences, separated by commas; empty: there is none.
        effort: the field that says how hard to think; `efforts` are its values by chat's.
        verbosity: whether it can be told how much to say.
        think_tags: whether thoughts stand in the output, in `<think>`.
    """

    limit: str = "max_tokens"
    least_limit: int = 1
    usual_limit: int = 0
    system: str = ""
    images: str = ""
    one_image: bool = False
    messages: bool = False
    numbers: frozenset[str] = frozenset()
    stops: str = ""
    effort: str = ""
    efforts: Mapping[str, str] = _NO_RENAMES
    verbosity: bool = False
    think_tags: bool = False


_LEVELS: Mapping[str, str] = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"
}  # fmt: skip
_OPENAI = Inputs("max_completion_tokens", system="system_prompt", images="image_input")
_LLAMA_NUMBERS = _SAMPLING | {"top_k", "seed"}

_FAMILIES: tuple[tuple[re.Pattern[str], Inputs], ...] = tuple(
    (re.compile(pattern), inputs)
    for pattern, inputs in (
        (r"anthropic/", Inputs(least_limit=1024, system="system_prompt", images="image", one_image=True)),
        (r"openai/gpt-oss", Inputs(usual_limit=8192, numbers=_SAMPLING)),
        (r"openai/gpt-4", _OPENAI._replace(messages=True, numbers=_SAMPLING)),
        (
            r"openai/gpt-5",
            _OPENAI._replace(
                messages=True, effort="reasoning_effort", efforts={**_LEVELS, "minimal": "minimal"}, verbosity=True
            ),
        ),
        (r"openai/o1-mini", Inputs("max_completion_tokens")),
        (r"openai/o1", _OPENAI._replace(messages=True, effort="reasoning_effort", efforts=_LEVELS)),
        (r"openai/o", _OPENAI._replace(effort="reasoning_effort", efforts=_LEVELS)),
        (
            r"google/gemini-3",
            Inputs(
                "max_output_tokens",
                system="system_instruction",
                images="images",
                numbers=frozenset({"temperature", "top_p"}),
                effort="thinking_level",
                efforts={**_LEVELS, "medium": "high"},
            ),
        ),
        (
            r"google/gemini",
            Inputs(
                "max_output_tokens",
                system="system_instruction",
                images="images",
                numbers=frozenset({"temperature", "top_p"}),
            ),
        ),
        (r"deepseek-ai/deepseek-r1", Inputs(usual_limit=8192, numbers=_SAMPLING, think_tags=True)),
        (
            r"deepseek-ai/deepseek-v3\.1",
            Inputs(
                usual_limit=8192,
                numbers=_SAMPLING,
                effort="thinking",
                efforts=dict.fromkeys(_LEVELS, "medium"),
                think_tags=True,
            ),
        ),
        (r"deepseek-ai/", Inputs(usual_limit=8192, numbers=_SAMPLING)),
        (r"qwen/", Inputs(usual_limit=8192, numbers=_SAMPLING)),
        (
            r"meta/llama-2",
            Inputs(
                "max_new_tokens",
                usual_limit=1024,
                system="system_prompt",
                numbers=frozenset({"temperature", "top_p", "top_k", "seed"}),
                stops="stop_sequences",
            ),
        ),
        (
            r"meta/",
            Inputs(usual_limit=2048, system="system_prompt", numbers=_LLAMA_NUMBERS, stops="stop_sequences"),
        ),
        (r"mistralai/", Inputs("max_new_tokens", usual_limit=1024, numbers=_SAMPLING | {"top_k"})),
    )
)
_OTHERS = Inputs()


def inputs_of(model: str) -> Inputs:
    return next((inputs for pattern, inputs in _FAMILIES if pattern.match(model)), _OTHERS)


def right_name(model: str) -> str:
    """The model as Replicate knows it."""
    return _RIGHT_NAMES.get(model, model)
