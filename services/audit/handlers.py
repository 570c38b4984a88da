"""The audit's story: what waits in spools first, then the books, then who else has to agree with them."""

from collections.abc import Sequence
from pathlib import Path

from services.audit import statements
from services.audit.core.findings import Finding, State
from services.audit.spools import spool_folders, waiting_generation_ids
from services.audit.store import Snapshot

_RECORDS = "records and settlements"


async def audit(snapshot: Snapshot, data_dir: Path | None) -> list[Finding]:
    """All findings as of the snapshot; spools are read beside it."""
    if not await snapshot.has_table("billing_ledger.entries"):
        return [Finding("books", State.NOT_CHECKED, remark="the ledger has no tables yet")]
    findings = [await snapshot.ask(check, statement) for check, statement in statements.LEDGER.items()]
    findings.append(await _negative_available(snapshot))
    findings += await _keys(snapshot)
    findings += await _records(snapshot)
    if await snapshot.has_table("event_log.entry"):
        findings.append(await snapshot.ask("dead letters", statements.DEAD_LETTERS, State.NOTICE))
    if data_dir is not None:
        findings.append(await _spools(snapshot, data_dir))
    return findings


async def _negative_available(snapshot: Snapshot) -> Finding:
    return await snapshot.ask(
        "holds fit the balance, or a settlement exceeded its hold", statements.NEGATIVE_AVAILABLE, State.NOTICE
    )


async def _keys(snapshot: Snapshot) -> Sequence[Finding]:
    if not await snapshot.has_table("key_management.keys"):
        return [Finding("accounts and keys", State.NOT_CHECKED, remark="key_management has no tables here")]
    return [await snapshot.ask(check, statement) for check, statement in statements.KEYS.items()]


async def _records(snapshot: Snapshot) -> Sequence[Finding]:
    records = await snapshot.records_table()
    if records is None:
        return [Finding(_RECORDS, State.NOT_CHECKED, remark="analytics has no table of generation records here")]
    return [
        await snapshot.ask("records cost what was settled", statements.COSTS_DIFFER.format(records=records)),
        *await snapshot.ask_both(
            "every settlement has its record",
            await _with_pending(snapshot, statements.WITHOUT_RECORD, records, group="analytics"),
        ),
        *await snapshot.ask_both(
            "every record has its settlement",
            await _with_pending(snapshot, statements.WITHOUT_SETTLEMENT, records, group="billing_ledger"),
        ),
    ]


async def _with_pending(snapshot: Snapshot, statement: str, records: str, *, group: str) -> str:
    exact = await snapshot.has_group(group)
    pending = statements.PENDING_IN_DATABASE.format(group=group) if exact else statements.PENDING_UNKNOWN
    return statement.format(pending=pending, records=records, exact=str(exact).lower())


async def _spools(snapshot: Snapshot, data_dir: Path) -> Finding:
    waiting = 0
    for folder in spool_folders(data_dir):
        waiting += await snapshot.count_unsettled(waiting_generation_ids(folder))
    state = State.WAITING if waiting else State.AGREES
    return Finding("spools are drained", state, waiting, remark="usage on its way to the ledger" if waiting else "")
