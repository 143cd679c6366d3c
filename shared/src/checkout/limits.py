"""The bounds of what clients, services and providers pass on, in one place: what one accepts, the next accepts too.

Lengths are in characters (code points), amounts in minor units.
"""

from typing import Final

ORDER_ID: Final = 100
SKU: Final = 100
TOKEN: Final = 200
NAME: Final = 200
LINE1: Final = 200
CITY: Final = 200
POSTAL_CODE: Final = 32
LINES: Final = 50
QUANTITY: Final = 100
AMOUNT: Final = 10**15
COUNTRY: Final = r"^[A-Z]{2}$"
CURRENCY: Final = r"^[A-Z]{3}$"
