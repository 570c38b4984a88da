"""Fields that requests of several dialects have in common: the models, limits of sampling, what the caller attaches.

Owns their checks (reference api-facts §3.1). Does not know which dialect has which. Invariant: an error names the field.
"""

from typing import Final

import orjson

from libs.errors import AppError, Kind
from services.edge_proxy.core import fields
from services.edge_proxy.core.fields import Json, Object, invalid
from services.edge_proxy.core.preferences import NO_PREFERENCES, Preferences, read_preferences

MAX_MODELS: Final = 32
MAX_FIELDS: Final = 1_000
MAX_MODEL_NAME: Final = 256
MAX_TOKENS_BOUND: Final = 100_000_000


def load_object(body: bytes) -> Object:
    try:
        source = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AppError(Kind.INVALID, "INVALID_JSON", f"The request body is not valid JSON: {error}") from None
    if not isinstance(source, dict):
        raise AppError(Kind.INVALID, "INVALID_JSON", "The request body must be a JSON object")
    if len(source) > MAX_FIELDS:
        raise AppError(Kind.INVALID, "INVALID_REQUEST", f"The request body must have at most {MAX_FIELDS} fields")
    return source


def read_models(source: Object) -> tuple[str, ...]:
    first = fields.text(source, "model", max_length=MAX_MODEL_NAME)
    others = fields.texts(source, "models", max_items=MAX_MODELS, max_length=MAX_MODEL_NAME) or []
    models = tuple(dict.fromkeys(([first] if first else []) + [name for name in others if name]))
    if not models:
        raise invalid("model", "is required (or give `models`)")
    return models


def read_model(source: Object) -> tuple[str, ...]:
    """For dialects whose requests name one model."""
    model = fields.text(source, "model", max_length=MAX_MODEL_NAME)
    if not model:
        raise invalid("model", "is required")
    return (model,)


def check_stop(source: Object) -> None:
    stop = source.get("stop")
    if stop is None or isinstance(stop, str):
        return
    if not isinstance(stop, list) or len(stop) > 4 or not all(isinstance(item, str) for item in stop):
        raise invalid("stop", "must be a string or an array of at most 4 strings")


def check_logit_bias(source: Object) -> None:
    bias = fields.mapping(source, "logit_bias") or {}
    for name in bias:
        fields.number(bias, name, -100, 100, path="logit_bias.")


def check_metadata(source: Object) -> None:
    metadata = fields.mapping(source, "metadata") or {}
    if len(metadata) > 16:
        raise invalid("metadata", "must have at most 16 pairs")
    for name, value in metadata.items():
        if len(name) > 64 or not isinstance(value, str) or len(value) > 512:
            raise invalid(
                f"metadata.{name[:64]}", "must be a string of at most 512 characters under a name of at most 64"
            )


def read_provider(source: Object) -> Preferences:
    if source.get("provider") is None and source.get("route") is None:
        return NO_PREFERENCES
    return read_preferences(source)


def read_user(source: Object) -> str:
    return fields.text(source, "user", max_length=1024) or ""


def read_session(source: Object) -> str:
    return fields.text(source, "session_id", max_length=256) or ""


def encoded(field: str, value: Json) -> bytes:
    """Reading takes deeper nesting than writing does."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise invalid(field, "is nested too deeply") from None


def read_trace(source: Object) -> bytes:
    trace = fields.mapping(source, "trace")
    if not trace:
        return b""
    json = encoded("trace", trace)
    if len(json) > 8192:
        raise invalid("trace", "must be at most 8 KiB of JSON")
    return json
