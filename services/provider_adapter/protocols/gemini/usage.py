"""Gemini's token counts as disjoint classes that add up.

Owns the arithmetic: the prompt holds what was cached; thoughts and tool prompts are counted beside, unless the total
says that the thoughts are inside. Invariant: the
classes never add up to more than the total they are parts of; malformed counts are no usage at all.
"""

from collections.abc import Mapping
from typing import Any

from services.provider_adapter.protocols.port import Usage

_LARGEST = 1 << 40


def usage_of(value: Any) -> Usage | None:
    """The counts in a `usageMetadata`; None when there are none or they are malformed."""
    if type(value) is not dict:
        return None
    told = value.get("promptTokenCount")
    candidates = value.get("candidatesTokenCount", 0)
    thoughts = value.get("thoughtsTokenCount", 0)
    tools = value.get("toolUsePromptTokenCount", 0)
    cached = value.get("cachedContentTokenCount", 0)
    if not (_is_count(candidates) and _is_count(thoughts) and _is_count(tools) and _is_count(cached)):
        return None
    if told is None and candidates and value.get("totalTokenCount") == tools + candidates + thoughts:
        # What is zero is left out.
        told = 0
    if not _is_count(told):
        return None
    inside = 0 < thoughts <= candidates and value.get("totalTokenCount") == told + tools + candidates
    prompt, completion = told + tools, candidates if inside else candidates + thoughts
    if cached > told:
        cached = 0
    if "promptTokensDetails" not in value and "candidatesTokensDetails" not in value:
        return Usage(prompt, completion, cached, 0, thoughts)
    uncached = _less(_by_modality(value, "promptTokensDetails"), _by_modality(value, "cacheTokensDetails"))
    produced = _by_modality(value, "candidatesTokensDetails")
    prompt_audio, prompt_image = _fit(prompt - cached, uncached.get("AUDIO", 0), uncached.get("IMAGE", 0))
    audio, image = _fit(candidates, produced.get("AUDIO", 0), produced.get("IMAGE", 0))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cache_read_tokens=cached,
        reasoning_tokens=thoughts,
        prompt_audio_tokens=prompt_audio,
        completion_audio_tokens=audio,
        prompt_image_tokens=prompt_image,
        completion_image_tokens=image,
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _by_modality(value: Mapping[str, Any], name: str) -> dict[str, int]:
    rows = value.get(name)
    counts: dict[str, int] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("modality"), str) and _is_count(row.get("tokenCount")):
            counts[row["modality"]] = row["tokenCount"]
    return counts


def _less(counts: Mapping[str, int], taken: Mapping[str, int]) -> dict[str, int]:
    return {modality: max(0, count - taken.get(modality, 0)) for modality, count in counts.items()}


def _fit(total: int, *parts: int) -> list[int]:
    fitted = []
    for part in parts:
        kept = part if part <= total else 0
        total -= kept
        fitted.append(kept)
    return fitted
