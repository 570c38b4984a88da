import asyncio

from libs.settings import load_or_exit
from services.analytics.main import run
from services.analytics.settings import Settings

asyncio.run(run(load_or_exit(Settings)))
