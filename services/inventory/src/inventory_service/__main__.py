"""`python -m inventory_service` serves; `python -m inventory_service migrate` brings its database up to date."""

from checkout_app import main
from inventory_service.main import DEFINITION

if __name__ == "__main__":
    main(DEFINITION)
