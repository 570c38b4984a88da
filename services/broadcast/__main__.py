import asyncio

from libs.settings import load_or_exit
from services.broadcast.main import run
from services.broadcast.settings import Settings

asyncio.run(run(load_or_exit(Settings)))
