"""Finds the catalogue that ships with the product.

Owns where the files are. Does not know what is in them (core/loading.py does).
"""

from importlib.resources import files

from services.router.core.catalogue import Catalogue
from services.router.core.loading import load_catalogue


def read_catalogue() -> Catalogue:
    """The catalogue of this package.

    Raises:
        CatalogueError: names file, path and field.
    """
    folder = files("services.router") / "catalogue"
    return load_catalogue({one.name: one.read_bytes() for one in folder.iterdir() if one.name.endswith(".json")})
