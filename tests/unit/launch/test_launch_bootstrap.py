"""The first account: its credit once, its keys again at every later start."""

from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import orjson
import pytest
from switchyard.keys.v1 import keys_pb2
from switchyard.keys.v1.keys_pb2_grpc import KeyManagementServiceServicer, add_KeyManagementServiceServicer_to_server
from switchyard.ledger.v1 import ledger_pb2
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceServicer, add_LedgerServiceServicer_to_server
from switchyard.routing.v1.routing_pb2 import ListModelsResponse
from switchyard.routing.v1.routing_pb2_grpc import RouterServiceServicer, add_RouterServiceServicer_to_server

from libs.errors import AppError, Kind, unavailable
from libs.money import NanoUsd
from libs.rpc.in_process import InProcessChannel
from libs.rpc.methods import MethodTable
from services.launch.bootstrap import KEYS_FILE, ensure_bootstrap, offered_models
from services.launch.output_file import read_json


class Keys(KeyManagementServiceServicer):
    """Keeps keys by hash."""

    def __init__(self) -> None:
        self.by_hash: dict[str, keys_pb2.Key] = {}
        self.failure: AppError | None = None

    async def EnsureBootstrapAccount(self, request: Any, context: Any) -> keys_pb2.EnsureBootstrapAccountResponse:  # noqa: N802 (name of the proto)
        return keys_pb2.EnsureBootstrapAccountResponse(account_id="acct_1")

    async def Authenticate(self, request: Any, context: Any) -> keys_pb2.AuthenticateResponse:  # noqa: N802 (name of the proto)
        if self.failure is not None:
            raise self.failure
        if request.hash not in self.by_hash:
            raise AppError(Kind.UNAUTHENTICATED, "KEY_UNKNOWN", "no")
        return keys_pb2.AuthenticateResponse(key=self.by_hash[request.hash])

    async def CreateKey(self, request: Any, context: Any) -> keys_pb2.CreateKeyResponse:  # noqa: N802 (name of the proto)
        plaintext = f"sk-{token_hex(8)}"
        hashed = sha256(plaintext.encode()).hexdigest()
        key = keys_pb2.Key(hash=hashed, account_id=request.account_id, is_management=request.is_management)
        self.by_hash[hashed] = key
        return keys_pb2.CreateKeyResponse(key=key, plaintext=plaintext)


class Ledger(LedgerServiceServicer):
    def __init__(self) -> None:
        self.grants: dict[str, int] = {}

    async def Grant(self, request: Any, context: Any) -> ledger_pb2.GrantResponse:  # noqa: N802 (name of the proto)
        granted = request.idempotency_key not in self.grants
        self.grants.setdefault(request.idempotency_key, request.amount_nano_usd)
        return ledger_pb2.GrantResponse(granted=granted)


class Router(RouterServiceServicer):
    """Away for some calls, without models for some more, then with one."""

    def __init__(self, *, away: int = 0, empty: int = 0) -> None:
        self.away = away
        self.empty = empty

    async def ListModels(self, request: Any, context: Any) -> ListModelsResponse:  # noqa: N802 (name of the proto)
        if self.away:
            self.away -= 1
            raise unavailable("router")
        if self.empty:
            self.empty -= 1
            return ListModelsResponse(json=orjson.dumps({"data": []}))
        return ListModelsResponse(json=orjson.dumps({"data": [{"id": "a/b"}]}))


def a_router(*, away: int = 0, empty: int = 0) -> Router:
    return Router(away=away, empty=empty)  # type: ignore[abstract]  # the rest is never called


class World:
    def __init__(self, router: Router | None = None) -> None:
        self.keys = Keys()  # type: ignore[abstract]  # the rest is never called
        self.ledger = Ledger()  # type: ignore[abstract]  # the rest is never called
        table = MethodTable()
        add_KeyManagementServiceServicer_to_server(self.keys, table)
        add_LedgerServiceServicer_to_server(self.ledger, table)
        add_RouterServiceServicer_to_server(router or a_router(), table)
        self.channel = InProcessChannel(table)

    async def start(self, folder: Path, credit: int = 5) -> Any:
        return await ensure_bootstrap(self.channel, self.channel, folder, NanoUsd(credit))


async def test_first_start_makes_an_account_with_credit_and_two_keys(tmp_path: Path) -> None:
    world = World()
    keys = await world.start(tmp_path)
    assert keys.account_id == "acct_1"
    assert keys.api_key != keys.management_key
    assert [key.is_management for key in world.keys.by_hash.values()] == [False, True]
    assert list(world.ledger.grants.values()) == [5]
    assert read_json(tmp_path / KEYS_FILE) == {
        "account_id": "acct_1", "api_key": keys.api_key, "management_key": keys.management_key,
    }  # fmt: skip


async def test_second_start_shows_the_same_keys_and_grants_nothing(tmp_path: Path) -> None:
    world = World()
    first = await world.start(tmp_path)
    assert await world.start(tmp_path, credit=7) == first
    assert len(world.keys.by_hash) == 2
    assert list(world.ledger.grants.values()) == [5]


async def test_key_that_works_no_more_is_made_anew_and_the_other_stays(tmp_path: Path) -> None:
    world = World()
    first = await world.start(tmp_path)
    del world.keys.by_hash[sha256(first.api_key.encode()).hexdigest()]
    second = await world.start(tmp_path)
    assert second.api_key != first.api_key
    assert len(world.keys.by_hash) == 2
    assert second.management_key == first.management_key


async def test_keys_of_another_database_are_not_shown(tmp_path: Path) -> None:
    first = await World().start(tmp_path)
    other = World()
    for key in (first.api_key, first.management_key):
        hashed = sha256(key.encode()).hexdigest()
        other.keys.by_hash[hashed] = keys_pb2.Key(hash=hashed, account_id="acct_of_somebody_else")
    second = await other.start(tmp_path)
    assert {second.api_key, second.management_key}.isdisjoint({first.api_key, first.management_key})


async def test_no_credit_asks_for_none(tmp_path: Path) -> None:
    world = World()
    await world.start(tmp_path, credit=0)
    assert world.ledger.grants == {}


async def test_keys_are_not_made_anew_because_nobody_could_tell(tmp_path: Path) -> None:
    world = World()
    await world.start(tmp_path)
    world.keys.failure = unavailable("key_management")
    with pytest.raises(AppError):
        await world.start(tmp_path)
    assert len(world.keys.by_hash) == 2


@pytest.mark.parametrize("router", [a_router(), a_router(away=2), a_router(empty=2), a_router(away=1, empty=1)])
async def test_models_are_waited_for(router: Router) -> None:
    assert await offered_models(World(router).channel, 5.0) == ["a/b"]


async def test_models_that_never_come_are_an_error() -> None:
    with pytest.raises(AppError, match="no model is on offer"):
        await offered_models(World(a_router(empty=10_000)).channel, 0.1)
