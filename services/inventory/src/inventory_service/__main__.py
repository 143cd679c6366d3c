"""`python -m inventory_service` serves; `python -m inventory_service migrate` brings its database up to date."""

from inventory_service.main import RECIPE

from checkout.hosting import main

if __name__ == "__main__":
    main(RECIPE)
