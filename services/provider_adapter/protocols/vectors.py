"""Embeddings, in no provider's terms: the caller's request read, and vectors written as the reply of our route.

Owns the shapes of reference api-facts §3.5 and the two encodings of a vector. Does not know any provider. Invariants: a
reply has one vector for each input, in their order; a vector comes in the encoding that the caller asked for.
"""

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Collection, Mapping, Sequence
from math import inf, isfinite
from typing import Any, Literal, NamedTuple

import orjson

from libs.errors import AppError, Kind
from services.provider_adapter.protocols.chat_body import cannot_carry
from services.provider_adapter.protocols.failures import Failure, FailureClass, ProviderFailedError
from services.provider_adapter.protocols.port import Attempt

Vector = Sequence[float] | str
"""Numbers, or base64 of little-endian numbers of 32 bits."""
_NUMBERS = frozenset({int, float})


class EmbeddingsBody(NamedTuple):
    """A caller's request.

    Attributes:
        fields: as the caller wrote them, without nulls and unsupported parameters.
        inputs: each a text, a list of tokens, or an object with parts of a content.
        input_type: what the vectors are for, in the caller's words.
    """

    fields: Mapping[str, Any]
    inputs: Sequence[Any]
    encoding: Literal["float", "base64"]
    dimensions: int | None
    input_type: str

    def texts(self) -> list[str]:
        """The inputs as texts.

        Raises:
            ProviderFailedError: some are none, and this format takes nothing else; another one may.
        """
        texts = [text_of(one) for one in self.inputs]
        if None in texts:
            raise cannot_carry("inputs that are not text")
        return [text for text in texts if text is not None]


def read_embeddings(attempt: Attempt) -> EmbeddingsBody:
    """Reads the body of one attempt.

    Raises:
        AppError: it is no request for embeddings.
    """
    fields = read_fields(attempt)
    value = fields.get("input")
    is_many = isinstance(value, list) and bool(value) and type(value[0]) is not int
    dimensions = fields.get("dimensions")
    input_type = fields.get("input_type")
    return EmbeddingsBody(
        fields,
        value if is_many and isinstance(value, list) else [value],
        "base64" if fields.get("encoding_format") == "base64" else "float",
        dimensions if type(dimensions) is int else None,
        input_type if isinstance(input_type, str) else "",
    )


def read_fields(attempt: Attempt, kept: Collection[str] = ()) -> dict[str, Any]:
    """The caller's fields without nulls and unsupported parameters, some of which are kept.

    Raises:
        AppError: the body is not a JSON object.
    """
    try:
        body = orjson.loads(attempt.body)
    except orjson.JSONDecodeError as error:
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise AppError(Kind.INVALID, "INVALID_BODY", "The request body is not a JSON object.")
    dropped = set(attempt.unsupported_parameters).difference(kept)
    return {name: value for name, value in body.items() if value is not None and name not in dropped}


def text_of(value: Any) -> str | None:
    """An input that is text, or parts that all are; None for another."""
    if isinstance(value, str):
        return value
    parts = value.get("content") if isinstance(value, dict) else None
    if not isinstance(parts, list):
        return None
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    return None if None in texts else "\n".join(str(text) for text in texts)


def embeddings_reply(attempt: Attempt, body: EmbeddingsBody, vectors: Sequence[Any]) -> bytes:
    """The reply of our route without `usage`.

    Raises:
        ProviderFailedError: these are not vectors, or not as many as there are inputs.
    """
    if len(vectors) != len(body.inputs):
        raise _unusable(f"The reply holds {len(vectors)} vectors for {len(body.inputs)} inputs.")
    data = [
        {"object": "embedding", "embedding": encoded(vector, body.encoding), "index": index}
        for index, vector in enumerate(vectors)
    ]
    return orjson.dumps(
        {
            "id": attempt.generation_id,
            "object": "list",
            "data": data,
            "model": attempt.model,
            "provider": attempt.provider_name,
        }
    )


def encoded(vector: Any, encoding: Literal["float", "base64"]) -> Vector:
    """A provider's vector in the encoding that is wanted.

    Raises:
        ProviderFailedError: it is no vector.
    """
    if isinstance(vector, str):
        return vector if encoding == "base64" and vector else list(_from_base64(vector))
    if not isinstance(vector, list) or not vector or not _NUMBERS.issuperset(map(type, vector)):
        raise _unusable("The reply holds something that is no vector.")
    return vector if encoding == "float" else _to_base64(vector)


def _to_base64(vector: Sequence[float]) -> str:
    try:
        numbers = array("f", vector)
    except OverflowError:
        numbers = array("f", [inf])
    if not isfinite(sum(numbers)):
        raise _unusable("The reply holds a number that 32 bits cannot.")
    return b64encode(_little_endian(numbers).tobytes()).decode()


def _from_base64(text: str) -> "array[float]":
    numbers = array("f")
    try:
        numbers.frombytes(b64decode(text, validate=True))
    except (Base64Error, ValueError):
        raise _unusable("The reply holds something that is no vector.") from None
    if not numbers:
        raise _unusable("The reply holds an empty vector.")
    return _little_endian(numbers)


def _little_endian(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _unusable(message: str) -> ProviderFailedError:
    return ProviderFailedError(Failure(FailureClass.UPSTREAM, 200, message))
