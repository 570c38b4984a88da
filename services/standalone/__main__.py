import sys

from libs.settings import load_or_exit
from services.launch.settings import LaunchSettings
from services.standalone.main import PARTS_SETTINGS, main

sys.exit(main(load_or_exit(LaunchSettings, beside=PARTS_SETTINGS)))
