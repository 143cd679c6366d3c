"""`python -m order_service` serves; `python -m order_service migrate` brings its database up to date."""

from order_service.main import RECIPE

from checkout.hosting import main

if __name__ == "__main__":
    main(RECIPE)
