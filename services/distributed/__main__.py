import sys

from libs.settings import load_or_exit
from services.distributed.main import PARTS_SETTINGS, main
from services.launch.settings import LaunchSettings

sys.exit(main(load_or_exit(LaunchSettings, beside=PARTS_SETTINGS)))
