import sys

from libs.settings import load_or_exit
from services.launch.settings import LaunchSettings
from services.standalone.main import main

sys.exit(main(load_or_exit(LaunchSettings)))
