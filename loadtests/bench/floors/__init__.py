"""What a carrier can do at most: the same messages or steps as an order's, with nothing behind them."""
