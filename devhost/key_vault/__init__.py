"""An emulated Azure Key Vault over TLS: secrets, and keys that wrap or sign."""
