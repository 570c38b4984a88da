"""The table of formats whose hosts want more than a constant header to know who calls."""

from collections.abc import Callable, Mapping
from functools import partial

from services.provider_adapter.credentials.aws import aws_authorizer
from services.provider_adapter.credentials.azure import azure_authorizer
from services.provider_adapter.credentials.google import google_authorizer
from services.provider_adapter.credentials.port import Authorizer

AuthorizerFactory = Callable[[str, str], Authorizer | None]
"""Takes the credential and the base URL it is for; None: the format's own headers are enough for this credential."""


def authorizers(proxy: str = "") -> Mapping[str, AuthorizerFactory]:
    """By the format's name, or the one that a host has for it in hosts.json; `proxy` is on the way to token servers."""
    google = partial(google_authorizer, proxy=proxy)
    return {
        "azure": azure_authorizer,
        "bedrock": aws_authorizer,
        "google": google,
        "vertex": google,
        "vertex-anthropic": google,
    }
