"""The first account, its credit and its two keys: made once, found again at every later start.

Owns the folder's memory of the plaintext keys (services keep hashes alone). Invariant: a second start on the same folder
shows the same keys and grants nothing.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import grpc
import orjson
from switchyard.keys.v1 import keys_pb2
from switchyard.keys.v1.keys_pb2_grpc import KeyManagementServiceStub
from switchyard.ledger.v1 import ledger_pb2
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from switchyard.routing.v1 import routing_pb2
from switchyard.routing.v1.routing_pb2_grpc import RouterServiceStub

from libs.errors import AppError, Kind, unavailable
from libs.money import NanoUsd
from services.launch.output_file import read_json, write_private

KEYS_FILE: Final = "bootstrap-keys.json"
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class BootstrapKeys:
    account_id: str
    api_key: str
    management_key: str


async def ensure_bootstrap(
    keys_channel: grpc.aio.Channel, ledger_channel: grpc.aio.Channel, data_dir: Path, credit: NanoUsd
) -> BootstrapKeys:
    """Makes whatever of account, credit and keys is missing."""
    keys, ledger = KeyManagementServiceStub(keys_channel), LedgerServiceStub(ledger_channel)
    account = await keys.EnsureBootstrapAccount(keys_pb2.EnsureBootstrapAccountRequest(), timeout=_TIMEOUT_S)
    if credit > 0:
        grant = ledger_pb2.GrantRequest(
            account_id=account.account_id,
            amount_nano_usd=credit,
            idempotency_key=f"bootstrap:{account.account_id}",
            reason="bootstrap credit",
        )
        await ledger.Grant(grant, timeout=_TIMEOUT_S)
    path = data_dir / KEYS_FILE
    known = read_json(path) or {}
    api_key, management_key = str(known.get("api_key", "")), str(known.get("management_key", ""))
    if not await _works(keys, api_key, account.account_id):
        api_key = await _create(keys, account.account_id, "Bootstrap key", is_management=False)
    if not await _works(keys, management_key, account.account_id):
        management_key = await _create(keys, account.account_id, "Bootstrap management key", is_management=True)
    write_private(path, {"account_id": account.account_id, "api_key": api_key, "management_key": management_key})
    return BootstrapKeys(account.account_id, api_key, management_key)


async def offered_models(router_channel: grpc.aio.Channel, limit_s: float) -> list[str]:
    """The slugs on offer, once there are any.

    Raises:
        AppError: there are none within the limit.
    """
    router = RouterServiceStub(router_channel)
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        try:
            answer = await router.ListModels(routing_pb2.ListModelsRequest(), timeout=_TIMEOUT_S)
            models = [str(model["id"]) for model in orjson.loads(answer.json)["data"]]
        except AppError:
            models = []
        if models:
            return models
        if asyncio.get_running_loop().time() > deadline:
            raise unavailable("router", "no model is on offer; see the log")
        await asyncio.sleep(0.05)


async def _works(keys: KeyManagementServiceStub, plaintext: str, account_id: str) -> bool:
    if not plaintext:
        return False
    request = keys_pb2.AuthenticateRequest(hash=sha256(plaintext.encode()).hexdigest())
    try:
        answer = await keys.Authenticate(request, timeout=_TIMEOUT_S)
    except AppError as error:
        if error.kind is Kind.UNAUTHENTICATED:
            return False
        raise
    return answer.key.account_id == account_id


async def _create(keys: KeyManagementServiceStub, account_id: str, name: str, *, is_management: bool) -> str:
    request = keys_pb2.CreateKeyRequest(
        account_id=account_id, name=name, is_management=is_management, limit_reset=keys_pb2.LIMIT_RESET_NEVER
    )
    answer = await keys.CreateKey(request, timeout=_TIMEOUT_S)
    return answer.plaintext
