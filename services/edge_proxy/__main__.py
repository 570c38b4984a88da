import asyncio

from libs.settings import load_or_exit
from services.edge_proxy.main import run
from services.edge_proxy.settings import Settings

asyncio.run(run(load_or_exit(Settings)))
