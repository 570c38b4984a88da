"""What every ledger store does, whatever it keeps its money in.

Subclass and provide the fixture `store`. The real clock runs: leases are tested with lengths of zero and of an hour.
"""

import pytest

from libs.errors import AppError
from services.billing_ledger.core.admission import HoldDecision, HoldOutcome
from services.billing_ledger.core.windows import MS_PER_DAY, Reset
from services.billing_ledger.ports import Credits, Grant, KeySpend, LedgerStore
from tests.testkit.billing_ledger import NOW_MS, batch_of, settlement, wish

GRANTED, CAPPED = HoldOutcome.GRANTED, HoldOutcome.CAPPED
NO_CREDIT, KEY_LIMIT = HoldOutcome.REFUSED_CREDIT, HoldOutcome.REFUSED_KEY_LIMIT


async def credit(store: LedgerStore, amount: int, account_id: str = "acct_1", key: str = "first") -> bool:
    return await store.grant(Grant(account_id, amount, key, "test"))


class LedgerStoreConformance:
    async def test_unknown_account_is_refused_and_shows_zeros(self, store: LedgerStore) -> None:
        [decision] = await store.hold([wish("g1", tokens=0)], NOW_MS)
        assert decision.outcome is NO_CREDIT
        assert decision.tokens == 0
        assert await store.credits("acct_1") == Credits(0, 0, 0, 0)
        assert await store.key_spend("key_1", NOW_MS) == KeySpend(0, 0, 0, 0)

    async def test_holds_of_one_batch_are_decided_in_their_order(self, store: LedgerStore) -> None:
        await credit(store, 250)
        wishes = [wish("g1"), wish("g2"), wish("g3"), wish("g4", tokens=50)]
        decisions = await store.hold(wishes, NOW_MS)
        assert [decision.outcome for decision in decisions] == [GRANTED, GRANTED, NO_CREDIT, GRANTED]
        assert decisions[2].tokens == 50
        assert await store.credits("acct_1") == Credits(250, 0, 250, 0)

    async def test_many_accounts_in_one_batch_do_not_touch_each_other(self, store: LedgerStore) -> None:
        for name, amount in (("acct_b", 100), ("acct_c", 99), ("acct_a", 100)):
            await credit(store, amount, name)
        names = ["acct_c", "acct_a", "nobody", "acct_b"]
        wishes = [wish(f"g{name}", account_id=name, key_hash=f"key_{name}") for name in names]
        decisions = await store.hold(wishes, NOW_MS)
        assert [decision.outcome for decision in decisions] == [NO_CREDIT, GRANTED, NO_CREDIT, GRANTED]
        assert [decision.tokens for decision in decisions] == [99, 100, 0, 100]
        assert [(await store.credits(name)).held for name in names] == [0, 100, 0, 100]

    async def test_wish_without_named_limit_is_capped_to_what_is_affordable(self, store: LedgerStore) -> None:
        await credit(store, 60)
        capped, refused = await store.hold(
            [wish("g1", fixed=10, minimum_tokens=16), wish("g2", minimum_tokens=16)], NOW_MS
        )
        assert capped == HoldDecision(CAPPED, 60, 50)
        assert (refused.outcome, refused.tokens) == (NO_CREDIT, 0)

    async def test_same_generation_held_twice_gets_the_same_answer(self, store: LedgerStore) -> None:
        await credit(store, 150)
        first = await store.hold([wish("g1"), wish("g2", minimum_tokens=1)], NOW_MS)
        again = await store.hold([wish("g2", minimum_tokens=1), wish("g1")], NOW_MS)
        assert again == first[::-1]
        assert (await store.credits("acct_1")).held == 150

    async def test_free_model_needs_a_positive_balance(self, store: LedgerStore) -> None:
        await credit(store, 100)
        [full, free] = await store.hold([wish("g1"), wish("g2", token_price=0)], NOW_MS)
        assert (full.outcome, free) == (GRANTED, HoldDecision(GRANTED, 0, 100))
        await store.settle(batch_of(settlement("g1", 100)))
        [broke] = await store.hold([wish("g3", token_price=0)], NOW_MS)
        assert (broke.outcome, broke.tokens) == (NO_CREDIT, 0)

    async def test_key_limit_counts_spend_and_open_holds(self, store: LedgerStore) -> None:
        await credit(store, 10_000)
        await store.hold([wish("g0")], NOW_MS)
        await store.settle(batch_of(settlement("g0", 70)))
        wishes = [wish(f"g{n}", key_limit=300) for n in (1, 2, 3)] + [wish("g4", key_limit=300, minimum_tokens=5)]
        decisions = await store.hold(wishes, NOW_MS)
        assert [decision.outcome for decision in decisions] == [GRANTED, GRANTED, KEY_LIMIT, CAPPED]
        assert [decision.tokens for decision in decisions] == [100, 100, 30, 30]
        [other_key] = await store.hold([wish("g5", key_hash="key_2", key_limit=300)], NOW_MS)
        assert other_key.outcome is GRANTED

    async def test_holds_made_before_a_limit_was_set_count_against_it(self, store: LedgerStore) -> None:
        await credit(store, 10_000)
        await store.hold([wish("g1")], NOW_MS)
        [decision] = await store.hold([wish("g2", key_limit=150)], NOW_MS)
        assert (decision.outcome, decision.tokens) == (KEY_LIMIT, 50)

    @pytest.mark.parametrize(
        ("reset", "later_ms"),
        [(Reset.DAILY, MS_PER_DAY), (Reset.WEEKLY, 6 * MS_PER_DAY), (Reset.MONTHLY, 7 * MS_PER_DAY)],
    )
    async def test_key_limit_begins_anew_with_its_window(self, store: LedgerStore, reset: Reset, later_ms: int) -> None:
        await credit(store, 10_000)  # NOW_MS is a Tuesday, seven days before 1 December
        await store.settle(batch_of(settlement("g0", 100)))
        wishes = [wish(f"g{n}", key_limit=100, key_reset=reset) for n in (1, 2, 3)]
        last_moment, first_moment = NOW_MS + later_ms - 1, NOW_MS + later_ms
        assert [decision.outcome for decision in await store.hold(wishes[:1], last_moment)] == [KEY_LIMIT]
        assert [decision.outcome for decision in await store.hold(wishes[1:2], first_moment)] == [GRANTED]
        for_life = wish("g9", key_limit=100)
        assert [decision.outcome for decision in await store.hold([for_life], first_moment)] == [KEY_LIMIT]

    async def test_different_limits_in_one_batch_each_hold(self, store: LedgerStore) -> None:
        await credit(store, 10_000)
        await store.settle(batch_of(settlement("g0", 100, created_at_ms=NOW_MS - MS_PER_DAY)))
        wishes = [
            wish("g1", key_limit=150, key_reset=Reset.DAILY),
            wish("g2", key_limit=150, key_reset=Reset.NEVER),
            wish("g3", key_limit=400, key_reset=Reset.WEEKLY),
        ]
        decisions = await store.hold(wishes, NOW_MS)
        assert [decision.outcome for decision in decisions] == [GRANTED, KEY_LIMIT, GRANTED]

    async def test_void_gives_the_hold_back_once(self, store: LedgerStore) -> None:
        await credit(store, 100)
        await store.hold([wish("g1", key_limit=100)], NOW_MS)
        assert await store.void(["g1", "unknown"]) == 1
        assert await store.void(["g1"]) == 0
        assert (await store.credits("acct_1")).held == 0
        [again] = await store.hold([wish("g2", key_limit=100)], NOW_MS)
        assert again.outcome is GRANTED

    async def test_settlement_charges_the_cost_and_lets_the_hold_go(self, store: LedgerStore) -> None:
        await credit(store, 1000)
        await store.hold([wish("g1", key_limit=200), wish("g2", key_limit=200)], NOW_MS)
        settled = await store.settle(batch_of(settlement("g1", 30), settlement("g2", 0)))
        assert settled == (frozenset(), 0)
        assert await store.credits("acct_1") == Credits(1000, 30, 0, 0)
        assert await store.key_spend("key_1", NOW_MS) == KeySpend(30, 30, 30, 30)
        [decision] = await store.hold([wish("g3", tokens=171, key_limit=200)], NOW_MS)
        assert (decision.outcome, decision.tokens) == (KEY_LIMIT, 170)

    async def test_settling_again_changes_nothing(self, store: LedgerStore) -> None:
        await credit(store, 1000)
        await store.settle(batch_of(settlement("g1", 30), settlement("g2", 0)))
        settled = await store.settle(batch_of(settlement("g2", 50), settlement("g3", 7), settlement("g1", 30)))
        assert settled == (frozenset({"g1", "g2"}), 0)
        assert await store.credits("acct_1") == Credits(1000, 37, 0, 0)
        assert await store.settle(batch_of(settlement("g1", 30))) == (frozenset({"g1"}), 0)

    async def test_settled_generation_cannot_be_held_again(self, store: LedgerStore) -> None:
        await credit(store, 1000)
        await store.settle(batch_of(settlement("g1", 0)))
        [decision] = await store.hold([wish("g1")], NOW_MS)
        assert decision.outcome is HoldOutcome.SETTLED_BEFORE
        assert (await store.credits("acct_1")).held == 0

    async def test_cost_beyond_hold_and_credit_is_charged_in_full_as_overdraft(self, store: LedgerStore) -> None:
        await credit(store, 100)
        await store.hold([wish("g1")], NOW_MS)
        assert await store.settle(batch_of(settlement("g1", 130), settlement("g2", 5))) == (frozenset(), 1)
        assert await store.credits("acct_1") == Credits(100, 135, 0, 35)
        await credit(store, 100, key="second")
        assert await store.settle(batch_of(settlement("g3", 60))) == (frozenset(), 0)
        assert await store.settle(batch_of(settlement("g4", 10))) == (frozenset(), 1)
        assert await store.credits("acct_1") == Credits(200, 205, 0, 40)

    async def test_settlement_of_an_unknown_account_makes_it(self, store: LedgerStore) -> None:
        assert await store.settle(batch_of(settlement("g1", 12, account_id="acct_9"))) == (frozenset(), 1)
        assert await store.credits("acct_9") == Credits(0, 12, 0, 12)

    async def test_spend_counts_in_the_windows_of_the_event_not_of_now(self, store: LedgerStore) -> None:
        monday_ms = NOW_MS - MS_PER_DAY
        await store.settle(
            batch_of(
                settlement("g1", 1, created_at_ms=NOW_MS),
                settlement("g2", 10, created_at_ms=NOW_MS - 1),
                settlement("g3", 100, created_at_ms=monday_ms),
                settlement("g4", 1000, created_at_ms=monday_ms - 1),
                settlement("g5", 10000, created_at_ms=NOW_MS - 24 * MS_PER_DAY),
            )
        )
        assert await store.key_spend("key_1", NOW_MS) == KeySpend(11111, 1, 111, 1111)

    async def test_grant_is_added_once_per_account_and_key(self, store: LedgerStore) -> None:
        assert await credit(store, 100)
        assert not await credit(store, 100)
        assert not await credit(store, 5)
        assert await credit(store, 7, account_id="acct_2")
        assert await credit(store, 1, key="second")
        assert (await store.credits("acct_1")).credited == 101

    async def test_grant_beyond_what_an_account_can_hold_is_refused(self, store: LedgerStore) -> None:
        assert await credit(store, 10**18)
        with pytest.raises(AppError) as refused:
            await credit(store, 1, key="second")
        assert refused.value.reason == "AMOUNT_OUT_OF_RANGE"
        assert (await store.credits("acct_1")).credited == 10**18

    async def test_absurd_wish_is_capped_or_refused_never_granted(self, store: LedgerStore) -> None:
        await credit(store, 10**18)
        [refused, capped] = await store.hold(
            [
                wish("g1", tokens=2**62, token_price=2**62),
                wish("g2", tokens=2**62, token_price=2**62, minimum_tokens=1),
            ],
            NOW_MS,
        )
        assert (refused.outcome, capped.outcome) == (NO_CREDIT, CAPPED)
        assert refused.tokens == capped.tokens == 216_840
        assert capped.amount <= 10**18

    async def test_holds_of_a_silent_owner_are_swept_others_stay(self, store: LedgerStore) -> None:
        await credit(store, 1000)
        await store.hold([wish("g1", owner="dead"), wish("g2", owner="live"), wish("g3", owner="mute")], NOW_MS)
        await store.renew_lease("live", 3600)
        await store.renew_lease("dead", 0)
        assert await store.sweep(lease_s=3600, grace_s=0, max_age_s=7200, limit=100) == 0
        assert await store.sweep(lease_s=0, grace_s=3600, max_age_s=7200, limit=100) == 0
        assert await store.sweep(lease_s=0, grace_s=0, max_age_s=7200, limit=1) == 1
        assert await store.sweep(lease_s=0, grace_s=0, max_age_s=7200, limit=100) == 1
        assert (await store.credits("acct_1")).held == 100
        assert await store.void(["g2"]) == 1

    async def test_old_hold_is_swept_although_its_owner_lives(self, store: LedgerStore) -> None:
        await credit(store, 1000)
        await store.hold([wish("g1")], NOW_MS)
        await store.renew_lease("edge_1", 3600)
        assert await store.sweep(lease_s=3600, grace_s=0, max_age_s=0, limit=100) == 1
        assert (await store.credits("acct_1")).held == 0

    async def test_swept_generation_still_settles_in_full(self, store: LedgerStore) -> None:
        await credit(store, 1000)
        await store.hold([wish("g1", owner="dead")], NOW_MS)
        await store.sweep(lease_s=0, grace_s=0, max_age_s=7200, limit=100)
        await store.settle(batch_of(settlement("g1", 40)))
        assert await store.credits("acct_1") == Credits(1000, 40, 0, 0)
