"""Which providers and models the simulator stands in for.

Owns the catalogue's shape and the look-up. Does not read files. Invariant: statistics are kept under the names that a
look-up gives: the provider's slug and the public model slug.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ANY_PROVIDER = "upstream"
"""The provider that stands for an OpenAI-compatible server of the operator's own; takes every model name."""


class CatalogueError(Exception):
    """The catalogue does not have the shape that it should; the message says where."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider stood in for.

    Attributes:
        models: public model slug by the provider's own model id.
        any_model: every model name is taken, under that name.
    """

    slug: str
    name: str
    models: Mapping[str, str]
    any_model: bool = False

    def public_slug(self, model: str) -> str | None:
        """The public slug of one of its models; None if it has no such model."""
        return self.models.get(model, model if self.any_model else None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    providers: Mapping[str, Provider]

    def provider(self, slug: str) -> Provider | None:
        return self.providers.get(slug)


def parse_catalogue(document: Any) -> Catalogue:
    """Reads `{"providers": {slug: {"name": …, "models": {provider model id: public slug}}}}`.

    Raises:
        CatalogueError: it has another shape.
    """
    listed = document.get("providers") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        raise CatalogueError("'providers' must be an object")
    providers = {slug: _provider(slug, entry) for slug, entry in listed.items()}
    everything = {public: public for provider in providers.values() for public in provider.models.values()}
    providers.setdefault(ANY_PROVIDER, Provider(ANY_PROVIDER, "Upstream", everything, any_model=True))
    return Catalogue(providers)


def _provider(slug: str, entry: Any) -> Provider:
    if not slug or "/" in slug:
        raise CatalogueError(f"'{slug}' is not a provider slug")
    name, models = (entry.get("name"), entry.get("models")) if isinstance(entry, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(models, dict):
        raise CatalogueError(f"provider '{slug}' must have a 'name' and an object 'models'")
    if not all(isinstance(public, str) and public and model for model, public in models.items()):
        raise CatalogueError(f"the models of provider '{slug}' must map ids to slugs")
    return Provider(slug, name, models, any_model=slug == ANY_PROVIDER)
