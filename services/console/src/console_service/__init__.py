"""The console: web pages on which people place orders, watch their sagas, break things and compare the modes."""
