"""The table of formats whose hosts want more than a constant header to know who calls."""

from collections.abc import Callable, Mapping
from functools import partial

from services.provider_adapter.credentials.aws import aws_authorizer
from services.provider_adapter.credentials.azure import azure_authorizer
from services.provider_adapter.credentials.exchange import gigachat_authorizer, ibm_authorizer
from services.provider_adapter.credentials.google import google_authorizer
from services.provider_adapter.credentials.oracle import oracle_authorizer
from services.provider_adapter.credentials.port import Answer, Ask, Authorizer, Place
from services.provider_adapter.protocols.failures import Failure, FailureClass, Phase, ProviderFailedError

AuthorizerFactory = Callable[[str, Place], Authorizer | None]
"""Takes the credential and where it is used; None: the format's own headers are enough for this credential."""


async def _ask_nobody(url: str, headers: Mapping[str, str], body: bytes, proxy: str) -> Answer:  # noqa: ARG001 (nobody is asked)
    message = "There is no client for token servers."
    raise ProviderFailedError(Failure(FailureClass.UPSTREAM, message=message, phase=Phase.CONNECT))


def authorizers(ask: Ask = _ask_nobody) -> Mapping[str, AuthorizerFactory]:
    """By the format's name, or the one that a host has for it in hosts.json; `ask` asks token servers, but Google's."""
    return {
        "azure": lambda credential, place: azure_authorizer(credential, place.base_url),
        "bedrock": lambda credential, place: aws_authorizer(credential, place.base_url),
        "gigachat": partial(gigachat_authorizer, ask=ask),
        "google": _google,
        "oci": oracle_authorizer,
        "vertex": _google,
        "vertex-anthropic": _google,
        "watsonx": partial(ibm_authorizer, ask=ask),
    }


def _google(credential: str, place: Place) -> Authorizer | None:
    return google_authorizer(credential, place.base_url, place.proxy)
