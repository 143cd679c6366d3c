"""`python -m shipping_service` serves; `python -m shipping_service migrate` brings its database up to date."""

from checkout_app import main
from shipping_service.main import DEFINITION

if __name__ == "__main__":
    main(DEFINITION)
