import asyncio

from libs.settings import load_or_exit
from services.billing_ledger.main import run
from services.billing_ledger.settings import Settings

asyncio.run(run(load_or_exit(Settings)))
