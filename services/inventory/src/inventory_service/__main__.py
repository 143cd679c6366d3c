"""`python -m inventory_service` serves; `python -m inventory_service migrate` brings its database up to date."""

from checkout.hosting import main
from inventory_service.main import RECIPE

if __name__ == "__main__":
    main(RECIPE)
