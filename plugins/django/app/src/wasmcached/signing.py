"""Signatures of Standard Webhooks 1.0.0: `v1`, HMAC-SHA256 over id, timestamp and raw body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"

#: A key is 24 to 64 bytes long.
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64


def key_of(secret):
    """The key that a secret stands for; `ValueError`, which does not say the secret, for others."""
    if not isinstance(secret, str) or not secret.startswith(PREFIX):
        raise ValueError(f"secret does not begin with {PREFIX!r}")
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"secret is not base64 after {PREFIX!r}") from None
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError(
            f"secret is {len(key)} bytes; {KEY_BYTES_MIN} to {KEY_BYTES_MAX} are allowed"
        )
    return key


def signature(secrets, message_id, timestamp_s, body):
    """The value of `webhook-signature`: one by each secret, so that they can be changed without a
    gap."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp_s, body)
    codes = (hmac.new(key_of(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join("v1," + base64.b64encode(code).decode() for code in codes)


def fields(secrets, message_id, timestamp_s, body):
    """The request fields that a signed body is sent with."""
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(secrets, message_id, timestamp_s, body),
    }
