"""`python -m payment_service` serves; `python -m payment_service migrate` brings its database up to date."""

from checkout_app import main
from payment_service.main import DEFINITION

if __name__ == "__main__":
    main(DEFINITION)
