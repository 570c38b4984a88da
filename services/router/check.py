"""What `python -m services.router` does instead of serving: check the catalogue, write the simulator's.

Owns these commands' output and exit status. Invariant: nothing is opened, nothing is called.
"""

import json
import sys

from services.router.catalogue_files import read_catalogue
from services.router.core.fields import CatalogueError
from services.router.core.overlay import apply_overlays
from services.router.core.simulated import simulator_catalogue
from services.router.keeper import OverlayFolder
from services.router.settings import OverlaySettings


def check_catalogue(settings: OverlaySettings) -> int:
    """Reads catalogue and overlays as the router would; the exit status."""
    try:
        files = OverlayFolder(settings.overlay_dir).read()
        catalogue = apply_overlays(read_catalogue(), files)
    except CatalogueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    endpoints = [one for model in catalogue.models.values() for one in model.endpoints]
    facts = {
        "version": catalogue.version,
        "overlays": sorted(files),
        "models": len(catalogue.models),
        "providers": len(catalogue.providers),
        "endpoints": len(endpoints),
        "providers_with_endpoints": len({one.provider.slug for one in endpoints}),
    }
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    return 0


def print_simulator_catalogue() -> int:
    """The file that services/provider_simulator ships."""
    sys.stdout.write(json.dumps(simulator_catalogue(read_catalogue()), indent=2, ensure_ascii=False) + "\n")
    return 0
