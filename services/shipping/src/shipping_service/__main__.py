"""`python -m shipping_service` serves; `python -m shipping_service migrate` brings its database up to date."""

from checkout.hosting import main
from shipping_service.main import RECIPE

if __name__ == "__main__":
    main(RECIPE)
