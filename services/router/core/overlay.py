"""The operator's own word on the catalogue: what is added, changed and taken away.

Owns the shape of overlay files (README, "Overlays") and their effect. Does not find or read files.
Invariant: a whole new catalogue, or a `CatalogueError` that names the place; the old one is never touched.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from services.router.core.billable import accepted
from services.router.core.catalogue import Catalogue, Endpoint, Model, Provider
from services.router.core.entries import Context, read_address, read_endpoint, read_model, read_price
from services.router.core.fields import Fields
from services.router.core.loading import ModelNames, ProviderNames, parse_file, version_of
from services.router.core.vocabulary import PROTOCOLS

_SELECTORS = ("endpoint", "model", "provider")
_ADDRESS = ("base_url", "token_url", "protocol", "dialect", "credential_name")


def apply_overlays(catalogue: Catalogue, files: Mapping[str, bytes]) -> Catalogue:
    """The catalogue as the files say it is, taken in the order of their names.

    Raises:
        CatalogueError: names file, path and field.
    """
    if not files:
        return catalogue
    version = version_of(files, catalogue.version)
    overlaid = _Overlaid(catalogue, version)
    tops = [(file, parse_file(files[file], file)) for file in sorted(files)]
    for add in (overlaid.add_providers, overlaid.add_models, overlaid.add_endpoints, overlaid.change):
        for _, top in tops:
            add(top)
    for _, top in tops:
        top.end()
    return Catalogue(version, overlaid.providers.by_slug, overlaid.names.models)


class _Overlaid:
    """A copy of the catalogue while files are applied to it."""

    def __init__(self, catalogue: Catalogue, version: str) -> None:
        self.providers = ProviderNames(catalogue.providers)
        self.names = ModelNames(catalogue.models)
        self._context = Context(self.providers.by_slug, version)
        self._owner = {one.id: model.id for model in catalogue.models.values() for one in model.endpoints}

    def add_providers(self, top: Fields) -> None:
        for fields in top.optional_objects("providers"):
            self.providers.add(fields)

    def add_models(self, top: Fields) -> None:
        for fields in top.optional_objects("models"):
            model = read_model(fields, self._context)
            self.names.add(model, fields)
            self._owner |= {one.id: model.id for one in model.endpoints}

    def add_endpoints(self, top: Fields) -> None:
        for fields in top.optional_objects("endpoints"):
            model = self._model(fields, "model")
            endpoint = read_endpoint(fields, model, self._context)
            if endpoint.id in self._owner:
                raise fields.error("provider", f"two endpoints are {endpoint.id!r}; give one a variant")
            self._owner[endpoint.id] = model.id
            self._set(replace(model, endpoints=(*model.endpoints, endpoint)))

    def change(self, top: Fields) -> None:
        if top.has("deployments"):
            self._deploy(top.object("deployments"))
        for fields in top.optional_objects("changes"):
            given = [name for name in _SELECTORS if fields.has(name)]
            if len(given) != 1:
                raise fields.error("", f"must name one of {', '.join(_SELECTORS)}")
            if given == ["endpoint"]:
                self._change_endpoint(fields)
            else:
                self._disable(fields, given[0])
            fields.end()

    def _change_endpoint(self, fields: Fields) -> None:
        endpoint_id = fields.text("endpoint")
        owner = self._owner.get(endpoint_id)
        if owner is None:
            raise fields.error("endpoint", f"is not an endpoint of the catalogue: {endpoint_id!r}")
        is_disabled = fields.answer("disable") is True
        changed: list[Callable[[Endpoint], Endpoint]] = []
        if fields.has("provider_model_id"):
            own_id = fields.text("provider_model_id")
            changed.append(_renamed(own_id))
        if fields.has("pricing"):
            changed.append(self._repriced(fields, self.names.models[owner]))
        if is_disabled == bool(changed):
            raise fields.error("", "must either disable it or change `pricing` or `provider_model_id`")
        for change in changed:
            self._replace_endpoint(endpoint_id, change)
        if is_disabled:
            self._replace_endpoint(endpoint_id, None)

    def _repriced(self, fields: Fields, model: Model) -> Callable[[Endpoint], Endpoint]:
        moment = fields.moment("from")
        price = read_price(fields, self._context.version)

        def change(one: Endpoint) -> Endpoint:
            inputs, refused, serves = accepted(
                price, one.input_modalities, frozenset(model.output_modalities), one.serves
            )
            later = [change for change in one.price_changes if change[0] != moment]
            return replace(
                one,
                price=one.price if moment else price,
                price_changes=tuple(sorted([*later, (moment, price)], key=lambda at: at[0])) if moment else (),
                input_modalities=inputs,
                supported_parameters=one.supported_parameters.difference(refused),
                unsupported_parameters=tuple(dict.fromkeys((*one.unsupported_parameters, *refused))),
                serves=serves,
            )

        return change

    def _replace_endpoint(self, endpoint_id: str, change: Callable[[Endpoint], Endpoint] | None) -> None:
        model = self.names.models[self._owner[endpoint_id]]
        others = [one for one in model.endpoints if one.id != endpoint_id]
        mine = [change(one) for one in model.endpoints if one.id == endpoint_id] if change is not None else []
        self._set(replace(model, endpoints=(*others, *mine)))

    def _disable(self, fields: Fields, selector: str) -> None:
        if selector == "provider" and any(fields.has(name) for name in _ADDRESS):
            self._move(fields)
            return
        if fields.answer("disable") is not True:
            raise fields.error("disable", f"must be true: a {selector} can only be disabled")
        if selector == "model":
            self._set(replace(self._model(fields, "model"), endpoints=()))
            return
        slug = self._provider(fields).slug
        for model in list(self.names.models.values()):
            left = tuple(one for one in model.endpoints if one.provider.slug != slug)
            if len(left) < len(model.endpoints):
                self._set(replace(model, endpoints=left))

    def _move(self, fields: Fields) -> None:
        """A provider that is called elsewhere, in another format, or with another credential."""
        provider = self._provider(fields)
        protocol = fields.choice("protocol", PROTOCOLS, provider.protocol)
        is_moved = read_address(fields)

        def moved(one: Provider) -> Provider:
            # Elsewhere there are no other doors.
            doors = () if is_moved else one.doors
            return replace(one, protocol=protocol, doors=doors, is_addressed=is_moved or one.is_addressed)

        self.providers.by_slug[provider.slug] = moved(provider)
        for model in list(self.names.models.values()):
            if all(one.provider.slug != provider.slug for one in model.endpoints):
                continue
            endpoints = tuple(
                replace(
                    one,
                    provider=moved(one.provider),
                    protocol=protocol if one.protocol == one.provider.protocol else one.protocol,
                )
                if one.provider.slug == provider.slug
                else one
                for one in model.endpoints
            )
            self._set(replace(model, endpoints=endpoints))

    def _provider(self, fields: Fields) -> Provider:
        slug = fields.text("provider")
        provider = self.providers.by_slug.get(slug)
        if provider is None:
            raise fields.error("provider", f"is not a known provider: {slug!r}")
        return provider

    def _deploy(self, by_provider: Fields) -> None:
        """What one provider's customers call models by names of their own, as at Azure."""
        for slug in by_provider.names():
            deployments = by_provider.object(slug)
            for name in deployments.names():
                endpoint_id = f"{slug}/{name}"
                if endpoint_id not in self._owner:
                    raise deployments.error(name, f"is not an endpoint of the catalogue: {endpoint_id!r}")
                own_id = deployments.text(name)
                self._replace_endpoint(endpoint_id, _renamed(own_id))

    def _model(self, fields: Fields, name: str) -> Model:
        model_id = fields.text(name)
        model = self.names.models.get(model_id)
        if model is None:
            raise fields.error(name, f"is not a model of the catalogue: {model_id!r}")
        return model

    def _set(self, model: Model) -> None:
        self.names.models[model.id] = model


def _renamed(provider_model_id: str) -> Callable[[Endpoint], Endpoint]:
    return lambda one: replace(one, provider_model_id=provider_model_id)
