import asyncio
import os

from libs.settings import load_or_exit
from services.provider_adapter.main import run
from services.provider_adapter.settings import Settings

asyncio.run(run(load_or_exit(Settings), os.environ))
