"""The gRPC door of key_management: converts, calls a handler, converts back."""

from typing import Any

from switchyard.keys.v1 import keys_pb2 as pb
from switchyard.keys.v1.keys_pb2_grpc import KeyManagementServiceServicer

from libs.errors import AppError
from libs.metrics import Metrics
from services.key_management import convert
from services.key_management.handlers import KeyHandlers


class KeyManagementServicer(KeyManagementServiceServicer):
    def __init__(self, handlers: KeyHandlers, metrics: Metrics) -> None:
        self._handlers = handlers
        self._found = metrics.authentications.labels("found")
        self._refused = metrics.authentications.labels("refused")

    async def Authenticate(self, request: pb.AuthenticateRequest, context: Any) -> pb.AuthenticateResponse:
        try:
            key = await self._handlers.authenticate(request.hash)
        except AppError:
            self._refused.inc()
            raise
        self._found.inc()
        return pb.AuthenticateResponse(key=convert.key_to_proto(key))

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Any) -> pb.CreateKeyResponse:
        key, plaintext = await self._handlers.create(convert.new_key_from_proto(request))
        return pb.CreateKeyResponse(key=convert.key_to_proto(key), plaintext=plaintext)

    async def SetKeyDisabled(self, request: pb.SetKeyDisabledRequest, context: Any) -> pb.SetKeyDisabledResponse:
        key = await self._handlers.set_disabled(request.account_id, request.hash, disabled=request.disabled)
        return pb.SetKeyDisabledResponse(key=convert.key_to_proto(key))

    async def DeleteKey(self, request: pb.DeleteKeyRequest, context: Any) -> pb.DeleteKeyResponse:
        await self._handlers.delete(request.account_id, request.hash)
        return pb.DeleteKeyResponse()

    async def EnsureBootstrapAccount(
        self, request: pb.EnsureBootstrapAccountRequest, context: Any
    ) -> pb.EnsureBootstrapAccountResponse:
        account_id = await self._handlers.ensure_bootstrap_account()
        return pb.EnsureBootstrapAccountResponse(account_id=account_id)
