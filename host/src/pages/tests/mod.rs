//! The page cache over real sockets, in front of an origin that the test plays.
