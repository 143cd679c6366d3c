"""`python -m order_service` serves; `python -m order_service migrate` brings its database up to date."""

from checkout_app import main
from order_service.main import DEFINITION

if __name__ == "__main__":
    main(DEFINITION)
