"""Which endpoints the simulator stands in for: the rule behind its own catalogue file.

Owns that rule (`python -m services.router --simulator-catalogue` writes the file). Invariant: whatever a request can be
planned for, the simulator knows under the same provider and model.
"""

from typing import Any

from services.router.core.catalogue import Catalogue
from services.router.core.vocabulary import INFERENCE


def simulator_catalogue(catalogue: Catalogue) -> dict[str, Any]:
    """`{"providers": {slug: {"name": …, "models": {provider's model id: public slug}}}}`."""
    providers: dict[str, Any] = {}
    for model in catalogue.models.values():
        for one in model.endpoints:
            if not INFERENCE.isdisjoint(one.serves):
                entry = providers.setdefault(one.provider.slug, {"name": one.provider.name, "models": {}})
                entry["models"][one.provider_model_id] = model.id
    ordered = sorted(providers.items())
    return {
        "providers": {
            slug: {"name": entry["name"], "models": dict(sorted(entry["models"].items()))} for slug, entry in ordered
        }
    }
