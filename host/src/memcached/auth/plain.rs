//! The SASL mechanism PLAIN (RFC 4616).

use super::Credentials;

/// Reads `[authzid] NUL authcid NUL passwd` (RFC 4616 §2). `None` for what is none, and for a
/// client that wants to act for another user than itself: there is nobody who may.
pub(in crate::memcached) fn plain(message: &[u8]) -> Option<Credentials<'_>> {
    let mut parts = message.split(|byte| *byte == 0);
    let (for_whom, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_for_itself = for_whom.is_empty() || for_whom == user;
    let is_whole = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    (is_for_itself && is_whole).then_some(Credentials { user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_stand_between_nuls() {
        for message in [&b"\0tim\0tan stan"[..], b"tim\0tim\0tan stan"] {
            let read = plain(message).unwrap();
            assert_eq!((read.user, read.password), (&b"tim"[..], &b"tan stan"[..]));
        }
    }

    #[test]
    fn other_messages_are_none() {
        for message in [
            &b""[..],
            b"tim",
            b"tim\0pw",
            b"\0tim",
            b"\0\0pw",
            b"\0tim\0",
            b"ann\0tim\0pw",
            b"\0tim\0pw\0",
        ] {
            assert!(plain(message).is_none(), "{}", message.escape_ascii());
        }
    }
}
