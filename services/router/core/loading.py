"""From files to a catalogue: parses, validates, prepares.

Owns which file holds what and that names are taken once. Does not find or read files; entries.py reads single entries.
Invariant: a whole catalogue, or a `CatalogueError` that names the place; never half of one.
"""

import hashlib
import json
from collections.abc import Mapping

from services.router.core.catalogue import Catalogue, Model, Provider
from services.router.core.entries import Context, read_model, read_provider
from services.router.core.fields import CatalogueError, Fields

PROVIDERS_FILE = "providers.json"


def load_catalogue(files: Mapping[str, bytes]) -> Catalogue:
    """Makes a catalogue of files by name: `providers.json`, all others hold models.

    Raises:
        CatalogueError: names file, path and field.
    """
    if PROVIDERS_FILE not in files:
        raise CatalogueError(PROVIDERS_FILE, "", "", "is missing")
    version = version_of(files)
    providers = ProviderNames()
    top = parse_file(files[PROVIDERS_FILE], PROVIDERS_FILE)
    for fields in top.objects("providers"):
        providers.add(fields)
    top.end()
    context = Context(providers.by_slug, version)
    names = ModelNames()
    for file in sorted(files):
        if file != PROVIDERS_FILE:
            top = parse_file(files[file], file)
            for fields in top.objects("models"):
                names.add(read_model(fields, context), fields)
            top.end()
    return Catalogue(version, providers.by_slug, names.models)


def version_of(files: Mapping[str, bytes], base: str = "") -> str:
    """A name that other contents do not have."""
    digest = hashlib.sha256(base.encode())
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name] + b"\0")
    return f"catalogue-{digest.hexdigest()[:12]}"


def parse_file(content: bytes, file: str) -> Fields:
    """The one object that a file holds."""
    try:
        return Fields(json.loads(content), file, "")
    except (ValueError, RecursionError) as error:
        raise CatalogueError(file, "", "", f"is not JSON: {error}") from None


class ProviderNames:
    """Providers as they are added; slugs, names and aliases are taken once."""

    def __init__(self, there: Mapping[str, Provider] | None = None) -> None:
        self.by_slug: dict[str, Provider] = dict(there or {})
        self._owner = {
            claimed.lower(): one.slug for one in self.by_slug.values() for claimed in (one.slug, one.name, *one.aliases)
        }

    def add(self, fields: Fields) -> None:
        provider = read_provider(fields, self.by_slug)
        slug = provider.slug
        if slug in self.by_slug:
            raise fields.error("slug", f"is there twice: {slug!r}")
        aliases = ((alias, "aliases") for alias in provider.aliases)
        for claimed, place in ((slug, "slug"), (provider.name, "name"), *aliases):
            if self._owner.setdefault(claimed.lower(), slug) != slug:
                raise fields.error(place, f"is taken by another provider: {claimed!r}")
        self.by_slug[slug] = provider


class ModelNames:
    """Models as they are added; ids and aliases are taken once."""

    def __init__(self, there: Mapping[str, Model] | None = None) -> None:
        self.models: dict[str, Model] = dict(there or {})
        self._taken = {name for one in self.models.values() for name in (one.id, *one.aliases)}

    def add(self, model: Model, fields: Fields) -> None:
        for name, place in ((model.id, "id"), *((alias, "aliases") for alias in model.aliases)):
            if name in self._taken:
                raise fields.error(place, f"is taken by another model: {name!r}")
            self._taken.add(name)
        self.models[model.id] = model
