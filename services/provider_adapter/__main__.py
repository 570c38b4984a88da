import asyncio
import os
import sys

from libs.settings import SettingsError, load_or_exit
from services.provider_adapter.main import run
from services.provider_adapter.settings import Settings

try:
    asyncio.run(run(load_or_exit(Settings), os.environ))
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)
