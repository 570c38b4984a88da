"""One catalogue ready to be shown: every public read as bytes, or as pieces of which a reply is joined.

Owns the JSON of the public reads. Does not decide who may see them. Invariant: a shelf belongs to one catalogue and
never shows another one.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from libs.errors import AppError, Kind
from services.router.core.catalogue import Catalogue, Model
from services.router.core.health import NO_FIGURES, UNKNOWN_HEALTH, Figures, HealthSnapshot
from services.router.core.listing import ModelFilter, listed
from services.router.core.public_shapes import endpoint_card, figures_card, model_card, model_endpoints, provider_card

NO_FILTER = ModelFilter()


class Page(NamedTuple):
    """Attributes:
    limit: 0: everything, whatever the offset.
    link: where the list is, without its page.
    """

    offset: int = 0
    limit: int = 0
    link: str = ""


EVERYTHING = Page()


class Reply(NamedTuple):
    json: bytes
    etag: str


class Prepared(NamedTuple):
    json: bytes
    until_s: int


FiguresOf = Callable[[str], Figures]


def _unknown_figures(_: str) -> Figures:
    return NO_FIGURES


def _figures_json(figures: Figures) -> bytes:
    """As the end of an endpoint's object."""
    return orjson.dumps(figures_card(figures))[1:]


_UNKNOWN: Final = _figures_json(NO_FIGURES)
_MODEL_REFRESH_S: Final = 5
_ZDR_REFRESH_S: Final = 30


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """Attributes:
    cards: JSON of each model on offer, by id.
    zdr_cards: JSON of endpoints without data retention and without figures, with their ids.
    prepared: replies with figures, by model id ("": endpoints without data retention), made when asked for and kept for a
        while; at most one per model.
    """

    catalogue: Catalogue
    cards: dict[str, bytes]
    models: Reply
    zdr_cards: Sequence[tuple[str, bytes]]
    providers_json: bytes
    prepared: dict[str, Prepared] = field(default_factory=dict)

    def list_models(
        self, wanted: ModelFilter, page: Page, now_s: int, health: HealthSnapshot = UNKNOWN_HEALTH
    ) -> Reply:
        if wanted == NO_FILTER and not page.limit:
            return self.models
        return _model_list(listed(self._models, wanted, now_s, health), self.cards, page)

    def count_models(self, wanted: ModelFilter, now_s: int) -> int:
        return len(listed(self._models, wanted, now_s))

    def model_json(self, name: str) -> bytes:
        """Raises AppError (missing) for a model that is not known or not on offer."""
        model = self._find(name)
        card = self.cards.get(model.id)
        if card is None:
            raise _unknown(name)
        if name.startswith("~"):
            target = {"alias_target": {"name": model.name, "slug": model.id}}
            return orjson.dumps(orjson.loads(card) | target)
        return card

    def model_endpoints_json(self, name: str, figures_of: FiguresOf = _unknown_figures, now_s: int = 0) -> bytes:
        """One model's endpoints, with figures that are a few seconds old at most.

        Raises:
            AppError: missing, for a model that is not known.
        """
        model = self._find(name)
        ready = self.prepared.get(model.id)
        if ready is None or now_s >= ready.until_s:
            json = orjson.dumps(model_endpoints(model, figures_of))
            ready = self.prepared[model.id] = Prepared(json, now_s + _MODEL_REFRESH_S)
        return ready.json

    def zdr_json(self, figures_of: FiguresOf = _unknown_figures, now_s: int = 0) -> bytes:
        """All endpoints without data retention; there are many, so that the figures may be half a minute old."""
        ready = self.prepared.get("")
        if ready is None or now_s >= ready.until_s:
            cards = [
                card[:-1] + b"," + (_UNKNOWN if (found := figures_of(one)) is NO_FIGURES else _figures_json(found))
                for one, card in self.zdr_cards
            ]
            json = b'{"data":[' + b",".join(cards) + b"]}"
            ready = self.prepared[""] = Prepared(json, now_s + _ZDR_REFRESH_S)
        return ready.json

    @property
    def _models(self) -> Sequence[Model]:
        return tuple(self.catalogue.models.values())

    def _find(self, name: str) -> Model:
        model = self.catalogue.by_name.get(name)
        if model is None:
            raise _unknown(name)
        return model


def _unknown(name: str) -> AppError:
    return AppError(Kind.MISSING, "MODEL_UNKNOWN", f"{name[:200]} is not a valid model ID")


def make_shelf(catalogue: Catalogue) -> Shelf:
    """Some 50 ms of work for the whole catalogue: done beside the loop when requests are running."""
    models = [model for model in catalogue.models.values() if model.endpoints]
    cards = {model.id: orjson.dumps(model_card(model)) for model in models}
    zdr: list[tuple[str, bytes]] = []
    providers: dict[str, Any] = {}
    for model in models:
        for one in model.endpoints:
            providers.setdefault(one.provider.slug, provider_card(one.provider))
            if one.provider.zero_data_retention:
                zdr.append((one.id, orjson.dumps(endpoint_card(model, one))))
    return Shelf(
        catalogue,
        cards,
        _model_list(listed(models, NO_FILTER, 0), cards, EVERYTHING),
        tuple(zdr),
        orjson.dumps({"data": [providers[slug] for slug in sorted(providers)]}),
    )


def _model_list(models: Sequence[Model], cards: dict[str, bytes], page: Page) -> Reply:
    shown = models[page.offset : page.offset + page.limit] if page.limit else models
    after = page.offset + page.limit
    following = None
    if page.limit and after < len(models):
        following = f"{page.link}{'&' if '?' in page.link else '?'}offset={after}&limit={page.limit}"
    tail = orjson.dumps({"total_count": len(models), "links": {"next": following}})
    json = b'{"data":[' + b",".join([cards[model.id] for model in shown]) + b"]," + tail[1:]
    return Reply(json, f'"{hashlib.sha256(json).hexdigest()[:32]}"')
