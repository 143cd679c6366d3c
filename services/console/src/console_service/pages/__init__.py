"""The pages, a module for each part of the console; each has a class whose methods are its routes."""
