import asyncio

from libs.settings import load_or_exit
from services.key_management.main import run
from services.key_management.settings import Settings

asyncio.run(run(load_or_exit(Settings)))
