"""`python -m shipping_service` serves; `python -m shipping_service migrate` brings its database up to date."""

from shipping_service.main import RECIPE

from checkout.hosting import main

if __name__ == "__main__":
    main(RECIPE)
