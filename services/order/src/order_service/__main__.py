"""`python -m order_service` serves; `python -m order_service migrate` brings its database up to date."""

from checkout.hosting import main
from order_service.main import RECIPE

if __name__ == "__main__":
    main(RECIPE)
