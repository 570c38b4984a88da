"""The counts of a prediction.

Owns the two spellings that models have. Invariant: counts that are malformed are as if absent.

Source: predictions shown on the models' pages (`metrics.input_token_count`, `output_token_count`), and those of models
that count the other way round in name (`token_input_count`).
"""

from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40
_NAMES = (("input_token_count", "output_token_count"), ("token_input_count", "token_output_count"))


def usage_of(metrics: Any) -> Usage | None:
    if not isinstance(metrics, dict):
        return None
    for prompt_name, completion_name in _NAMES:
        prompt, completion = _count(metrics.get(prompt_name)), _count(metrics.get(completion_name))
        if prompt is not None and completion is not None:
            return Usage(prompt, completion)
    return None


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST else None
