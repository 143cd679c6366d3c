"""`python -m payment_service` serves; `python -m payment_service migrate` brings its database up to date."""

from checkout.hosting import main
from payment_service.main import RECIPE

if __name__ == "__main__":
    main(RECIPE)
