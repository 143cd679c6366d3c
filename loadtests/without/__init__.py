"""What is loaded into the services by `loadtests.observing`."""
