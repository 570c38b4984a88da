"""The gRPC door of billing_ledger: converts, calls a handler, converts back."""

from typing import Any

from switchyard.ledger.v1 import ledger_pb2 as pb
from switchyard.ledger.v1.ledger_pb2_grpc import LedgerServiceServicer

from services.billing_ledger import convert
from services.billing_ledger.handlers import LedgerHandlers


class LedgerServicer(LedgerServiceServicer):
    def __init__(self, handlers: LedgerHandlers) -> None:
        self._handlers = handlers

    async def Hold(self, request: pb.HoldRequest, context: Any) -> pb.HoldResponse:
        return convert.hold_response(await self._handlers.hold(convert.hold_wish(request)))

    async def Void(self, request: pb.VoidRequest, context: Any) -> pb.VoidResponse:
        await self._handlers.void(convert.identifier(request.generation_id, "generation_id"))
        return pb.VoidResponse()

    async def RenewLease(self, request: pb.RenewLeaseRequest, context: Any) -> pb.RenewLeaseResponse:
        renew_within_s = await self._handlers.renew_lease(convert.identifier(request.owner, "owner"))
        return pb.RenewLeaseResponse(renew_within_ms=round(renew_within_s * 1000))

    async def Grant(self, request: pb.GrantRequest, context: Any) -> pb.GrantResponse:
        return pb.GrantResponse(granted=await self._handlers.grant(convert.grant(request)))

    async def GetCredits(self, request: pb.GetCreditsRequest, context: Any) -> pb.GetCreditsResponse:
        account_id = convert.identifier(request.account_id, "account_id")
        return convert.credits_response(await self._handlers.credits(account_id))

    async def GetKeySpend(self, request: pb.GetKeySpendRequest, context: Any) -> pb.GetKeySpendResponse:
        key_hash = convert.identifier(request.key_hash, "key_hash")
        return convert.key_spend_response(await self._handlers.key_spend(key_hash))
