"""How hosts of the embeddings format differ in what they accept and give.

Owns the table of dialects. Does not apply it: protocol.py does. Invariant: a host that is not listed is sent nothing that
the oldest copies of this format do not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

QUERY, DOCUMENT = "query", "document"
_PURPOSES: Mapping[str, str] = {
    "query": QUERY,
    "search_query": QUERY,
    "retrieval.query": QUERY,
    "document": DOCUMENT,
    "passage": DOCUMENT,
    "search_document": DOCUMENT,
    "retrieval.passage": DOCUMENT,
}


class Encoding(Enum):
    """What a host gives vectors in."""

    FLOAT = "numbers; it is not asked for anything else"
    ASKED = "what is asked for as `encoding_format`"
    INT8 = "base64 of signed bytes"


@dataclass(frozen=True, slots=True)
class EmbeddingsDialect:
    """One host's deviations.

    Attributes:
        path: where embeddings are made, below the base URL.
        renamed: parameters under another name.
        dropped: parameters that the host refuses.
        input_types: the host's words for what vectors are for; None: the caller's own word is passed on.
    """

    path: str = "/embeddings"
    encoding: Encoding = Encoding.FLOAT
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    input_types: Mapping[str, str] | None = None

    def input_type(self, word: str) -> str:
        """The host's word for the caller's; empty: it has none."""
        return word if self.input_types is None else self.input_types.get(_PURPOSES.get(word.lower(), ""), "")


PLAIN = EmbeddingsDialect()

DIALECTS: Mapping[str, EmbeddingsDialect] = {
    "openai": EmbeddingsDialect(encoding=Encoding.ASKED, dropped=frozenset({"input_type"})),
    "openrouter": EmbeddingsDialect(encoding=Encoding.ASKED),
    "mistral": EmbeddingsDialect(renamed={"dimensions": "output_dimension"}, dropped=frozenset({"user", "input_type"})),
    "voyage": EmbeddingsDialect(
        renamed={"dimensions": "output_dimension"},
        dropped=frozenset({"user"}),
        input_types={QUERY: "query", DOCUMENT: "document"},
    ),
    "jina": EmbeddingsDialect(
        renamed={"input_type": "task"},
        dropped=frozenset({"user"}),
        input_types={QUERY: "retrieval.query", DOCUMENT: "retrieval.passage"},
    ),
    "gigachat": EmbeddingsDialect(dropped=frozenset({"user", "input_type", "dimensions"})),
    "nvidia": EmbeddingsDialect(input_types={QUERY: "query", DOCUMENT: "passage"}),
    "perplexity": EmbeddingsDialect(
        path="/v1/embeddings", encoding=Encoding.INT8, dropped=frozenset({"user", "input_type"})
    ),
}
