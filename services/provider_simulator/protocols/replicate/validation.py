"""Checks the input of a prediction against what its model takes.

Owns the schemas of the models' inputs, family by family, as their pages show them. Does not read the input
(prediction_format.py). Invariant: a field that a model's schema does not name is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

from services.provider_simulator.protocols.strict import (
    Check,
    InvalidError,
    Problem,
    boolean,
    fields,
    filled,
    integer,
    items,
    number,
    one_of,
    text,
)

_LIMIT = integer(1, 1_000_000)
_MESSAGES = items(
    fields({"role": one_of("system", "user", "assistant"), "content": filled}, ["role", "content"]), least=1
)
_SAMPLING: Mapping[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
}
_COMMON: Mapping[str, Check] = {"prompt": text}
_OPENAI: Mapping[str, Check] = {
    **_COMMON,
    "system_prompt": text,
    "image_input": items(filled),
    "max_completion_tokens": _LIMIT,
}
_THINKERS: Mapping[str, Check] = {"reasoning_effort": one_of("low", "medium", "high")}
_GEMINI: Mapping[str, Check] = {
    **_COMMON,
    "system_instruction": text,
    "images": items(filled),
    "videos": items(filled),
    "max_output_tokens": _LIMIT,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
}
_OLD: Mapping[str, Check] = {"max_new_tokens": _LIMIT, "top_k": integer(0, 1_000_000), "prompt_template": text}

_SCHEMAS: tuple[tuple[re.Pattern[str], Mapping[str, Check]], ...] = tuple(
    (re.compile(pattern), schema)
    for pattern, schema in (
        (
            "anthropic/",
            {
                **_COMMON,
                "system_prompt": text,
                "image": filled,
                "max_tokens": integer(1024, 64_000),
                "max_image_resolution": number(0.001, 2),
                "extended_thinking": boolean,
            },
        ),
        ("openai/gpt-oss", {**_COMMON, **_SAMPLING, "max_tokens": _LIMIT}),
        ("openai/gpt-4", {**_OPENAI, **_SAMPLING, "messages": _MESSAGES}),
        (
            "openai/gpt-5",
            {
                **_OPENAI,
                "messages": _MESSAGES,
                "reasoning_effort": one_of("minimal", "low", "medium", "high"),
                "verbosity": one_of("low", "medium", "high"),
            },
        ),
        ("openai/o1-mini", {**_COMMON, "max_completion_tokens": _LIMIT}),
        ("openai/o1", {**_OPENAI, **_THINKERS, "messages": _MESSAGES}),
        ("openai/o", {**_OPENAI, **_THINKERS}),
        ("google/gemini-3", {**_GEMINI, "thinking_level": one_of("low", "high")}),
        ("google/", {**_GEMINI, "thinking_budget": integer(0, 24_576), "dynamic_thinking": boolean}),
        (
            r"deepseek-ai/deepseek-v3\.1",
            {**_COMMON, **_SAMPLING, "max_tokens": _LIMIT, "thinking": one_of("medium", "None")},
        ),
        ("deepseek-ai/|qwen/", {**_COMMON, **_SAMPLING, "max_tokens": _LIMIT}),
        (
            "meta/llama-2",
            {
                **_COMMON,
                **_OLD,
                "system_prompt": text,
                "temperature": number(0, 5),
                "top_p": number(0, 1),
                "seed": integer(0, 2**31),
                "stop_sequences": text,
            },
        ),
        (
            "meta/",
            {
                **_COMMON,
                **_SAMPLING,
                "system_prompt": text,
                "max_tokens": _LIMIT,
                "min_tokens": integer(0, 1_000_000),
                "top_k": integer(0, 1_000_000),
                "seed": integer(0, 2**31),
                "stop_sequences": text,
                "prompt_template": text,
            },
        ),
        ("mistralai/", {**_COMMON, **_OLD, **_SAMPLING}),
    )
)
_OTHERS: Mapping[str, Check] = {**_COMMON, "max_tokens": _LIMIT}


def check_prediction(model: str, body: Mapping[str, Any]) -> None:
    """Checks the whole request.

    Raises:
        InvalidError: as the real API would refuse it.
    """
    schema = next((schema for pattern, schema in _SCHEMAS if pattern.match(model)), _OTHERS)
    check = fields({"input": fields(schema), "stream": boolean, "model": text, "id": text}, ["input"])
    check((), body)
    given = body["input"]
    if not given.get("messages") and not given.get("prompt"):
        raise InvalidError(("input", "prompt"), Problem.MISSING, "prompt is required")
