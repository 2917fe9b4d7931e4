"""A receipt signer with a key that only tests know."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec

from shared.adapters.receipt_keys import SettingsReceiptSigner


@cache
def receipt_signer(*secrets: int) -> SettingsReceiptSigner:
    """One key for each secret number; the first signs."""
    keys = tuple(ec.derive_private_key(secret, ec.SECP256R1()) for secret in secrets or (1,))
    return SettingsReceiptSigner(keys)
