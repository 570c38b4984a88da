import asyncio
import os

from libs.settings import load_or_exit
from services.provider_adapter.hosts import load_hosts
from services.provider_adapter.main import run
from services.provider_adapter.settings import Settings, customary_credentials

asyncio.run(run(load_or_exit(Settings), customary_credentials(load_hosts(), os.environ)))
