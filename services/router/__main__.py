import asyncio

from libs.settings import load_or_exit
from services.router.main import run
from services.router.settings import Settings

asyncio.run(run(load_or_exit(Settings)))
