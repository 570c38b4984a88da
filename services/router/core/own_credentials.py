"""Where the account's own provider credentials come in among the attempts (BYOK, reference behaviour-facts §19).

Owns that. Does not know secrets. Invariant: with `always_use` the platform's own capacity of that provider is not in the
plan.
"""

from collections.abc import Collection, Sequence

from services.router.core.catalogue import Endpoint
from services.router.core.ranking import Place, Ranked, Reason
from services.router.core.wishes import OwnCredential


def with_own(
    places: Ranked, extra: Sequence[Endpoint], credentials: Sequence[OwnCredential], cooling: Collection[str]
) -> Ranked:
    """The attempts with those on the account's own credentials: prioritised ones before all others, even against the
    caller's order, fallback ones after; a credential that cools comes after those that do not.

    Args:
        places: on the platform's own credentials, in their order.
        extra: fitting endpoints that the platform has no credential for.
        credentials: of the account.
        cooling: ids of credentials that lately were refused.
    """
    endpoints = [place.endpoint for place in places] + list(extra)
    before: Ranked = []
    after: Ranked = []
    for credential in sorted(credentials, key=lambda one: (one.id in cooling, one.sort_order, one.id)):
        reason = Reason.COOLING if credential.id in cooling else Reason.OWN_CREDENTIAL
        (after if credential.is_fallback else before).extend(
            Place(one, reason, credential) for one in endpoints if _is_for(credential, one)
        )
    closed = {one.provider_slug for one in credentials if one.always_use}
    shared = [place for place in places if place.endpoint.provider.slug not in closed] if closed else places
    return before + shared + after


def _is_for(credential: OwnCredential, endpoint: Endpoint) -> bool:
    return credential.provider_slug == endpoint.provider.slug and (
        not credential.allowed_models or endpoint.model in credential.allowed_models
    )
