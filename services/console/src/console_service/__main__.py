"""`python -m console_service` runs the console; a wrong setting exits with status 2 and one line."""

import sys

from console_service.main import main
from sagakit.app.server import run
from sagakit.settings import SettingsError

if __name__ == "__main__":
    try:
        run(main())
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
