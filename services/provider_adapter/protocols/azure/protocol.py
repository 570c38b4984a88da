"""Azure OpenAI as a `WireProtocol`: the chat format, at addresses of two generations (wire facts §2).

Owns the path. Everything else is openai_chat's, with a dialect of its own; who calls is proven by
`credentials/azure.py`. Invariant: a deployment's name cannot lead to another path.

The newer address ends in `/openai/v1` and takes the deployment's name as `model`. An older one carries its
`api-version`, and the deployment's name stands in the path; one that names a deployment itself is taken as it is.
"""

from urllib.parse import quote

from services.provider_adapter.protocols.openai_chat.protocol import OpenAiChat
from services.provider_adapter.protocols.openai_embeddings.protocol import OpenAiEmbeddings
from services.provider_adapter.protocols.port import Attempt, Prepared

DEPLOYMENTS = "azure-deployments"
"""The dialect of hosts whose address carries an `api-version` and no deployment."""

_DIALECT = "azure"


def dialect_at(base_url: str) -> str:
    address, _, query = base_url.partition("?")
    return DEPLOYMENTS if "api-version=" in query and "/deployments/" not in address else _DIALECT


def _at(prepared: Prepared, attempt: Attempt, dialect: str) -> Prepared:
    if dialect != DEPLOYMENTS:
        return prepared
    deployment = quote(attempt.provider_model_id, safe="")
    return prepared._replace(path=f"/deployments/{deployment}{prepared.path}")


class AzureChat(OpenAiChat):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        return _at(super().prepare(attempt, _DIALECT), attempt, dialect)


class AzureEmbeddings(OpenAiEmbeddings):
    """See `WireProtocol`."""

    def prepare(self, attempt: Attempt, dialect: str) -> Prepared:
        return _at(super().prepare(attempt, ""), attempt, dialect)
