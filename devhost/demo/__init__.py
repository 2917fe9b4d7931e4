"""The demo: a person's whole way through the product, with every figure checked at the end."""
