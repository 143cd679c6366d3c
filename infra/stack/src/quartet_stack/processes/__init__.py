"""Programs and the supervisord that runs them: described, started, probed, restarted, measured."""
