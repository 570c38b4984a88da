"""The catalogue and the plan for a request; see README.md."""

import asyncio
import sys

from libs.settings import SettingsError, load_or_exit
from services.router.check import check_catalogue, print_simulator_catalogue
from services.router.main import run
from services.router.settings import OverlaySettings, Settings

if "--check-catalog" in sys.argv:
    sys.exit(check_catalogue(load_or_exit(OverlaySettings)))
if "--simulator-catalogue" in sys.argv:
    sys.exit(print_simulator_catalogue())
try:
    asyncio.run(run(load_or_exit(Settings)))
except SettingsError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(2)
