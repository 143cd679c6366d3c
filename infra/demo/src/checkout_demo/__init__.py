"""`make demo`: a basket of orders of every kind against the running stack.

`stories` holds the orders and what each must end as; `__main__` places them, shows their paths and runs the audit.
"""
