"""`python -m payment_service` serves; `python -m payment_service migrate` brings its database up to date."""

from payment_service.main import RECIPE

from checkout.hosting import main

if __name__ == "__main__":
    main(RECIPE)
