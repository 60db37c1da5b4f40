"""Signatures are those of Standard Webhooks."""

import pytest

from wasmcached import signing

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_" + "A" * 32
ID, SENT_S = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553
BODY = b'{"email":"test@example.com","username":"test_user"}'
SIGNATURE = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="


def test_the_published_example_is_what_we_sign():
    assert signing.signature([SECRET], ID, SENT_S, BODY) == SIGNATURE


def test_every_secret_signs():
    first, second = signing.signature([OTHER, SECRET], ID, SENT_S, BODY).split(" ")
    assert second == SIGNATURE and first != second and first.startswith("v1,")


def test_the_fields_are_the_standards():
    fields = signing.fields([SECRET], ID, SENT_S, BODY)
    assert fields == {
        "content-type": "application/json",
        "webhook-id": ID,
        "webhook-timestamp": str(SENT_S),
        "webhook-signature": SIGNATURE,
    }


@pytest.mark.parametrize(
    "secret, reason",
    [
        ("C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "does not begin with"),
        ("whsec_hunter2!", "is not base64"),
        ("whsec_" + "A" * 28, "is 21 bytes; 24 to 64 are allowed"),
        ("whsec_" + "A" * 88, "is 66 bytes; 24 to 64 are allowed"),
        (None, "does not begin with"),
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        signing.key_of(secret)
    assert "hunter2" not in str(caught.value)
