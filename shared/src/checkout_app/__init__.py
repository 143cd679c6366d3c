"""Runs a service of this system: with its saga, its topology and the rules of its providers."""

import os
import sys

from checkout.provider_rules import decide
from checkout.saga import CHECKOUT
from checkout.topology import topology_of
from sagakit.app.host import ServiceDefinition, folder_of, run_service
from sagakit.app.server import run
from sagakit.settings import Settings, SettingsError


def main(definition: ServiceDefinition) -> None:
    """Serve, or migrate the database if the first argument is `migrate`.

    A wrong setting ends the process with status 2 and one line that names it.
    """
    try:
        settings = Settings.from_env(os.environ)
        if sys.argv[1:] == ["migrate"]:
            from sagakit.postgres import migrations  # Alembic takes a tenth of the time to start

            migrations.upgrade(folder_of(definition), settings.database_url, definition.seed)
            return
        run(run_service(definition, settings, CHECKOUT, topology_of, decide))
    except (SettingsError, ValueError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
