//! Fixed bounds of what clients, senders and plugins may send and make the server hold, each with
//! its unit and the reason for its size.
//!
//! How far a module goes in its own work is bounded there. What an operator may want to change is a
//! parameter of `config`; these are the walls behind it.

/// Longest key: a URL that browsers and proxies agree on (8 000 bytes, RFC 9110 §4.1) and room to
/// spare.
pub const KEY_BYTES_MAX: usize = 8 * 1024;

/// Longest key of the memcached protocol (protocol.txt, "Keys").
pub const MEMCACHED_KEY_BYTES_MAX: usize = 250;

/// Longest command line of the memcached protocol, but for retrievals; a longer one is not
/// memcached.
pub const MEMCACHED_LINE_BYTES_MAX: usize = 2048;

/// Longest line of `get`, `gets`, `gat` and `gats`: some 20 000 keys, as libraries ask for at once.
pub const MEMCACHED_RETRIEVAL_LINE_BYTES_MAX: usize = 1024 * 1024;

/// Most words of a meta command: memcached's own limit.
pub const MEMCACHED_META_WORDS_MAX: usize = 20;

/// Longest token of a meta command that is sent back as it came (protocol.txt says 32, of which
/// memcached counts one for the flag).
pub const MEMCACHED_OPAQUE_BYTES_MAX: usize = 31;

/// Keys whose misses a memcached connection remembers for the stores that follow: more than a usual
/// multi-get has, at some 100 bytes each.
pub const MEMCACHED_MISSES_MAX: usize = 1_024;

/// Reply bytes gathered for one memcached client before it must take them.
pub const MEMCACHED_OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// Failed attempts to authenticate after which a memcached connection is closed.
pub const MEMCACHED_AUTH_FAILURES_MAX: u32 = 5;

/// Longest message by which a memcached client authenticates; memcached's own.
pub const MEMCACHED_TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Users of the memcached listener: the services of a large team, each with a password or two.
pub const MEMCACHED_USERS_MAX: usize = 10_000;

/// Longest name of a user (RFC 4616 leaves it open; memcached's lines end at 256).
pub const MEMCACHED_USER_BYTES_MAX: usize = 250;

/// Largest file of users: as many as there may be, with long hashes.
pub const AUTH_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Memory that verifying one hashed password may take.
pub const PASSWORD_HASH_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Hashed passwords that are verified at once; each takes memory and a core meanwhile.
pub const PASSWORD_VERIFICATIONS_MAX: usize = 2;

/// Watchers of a memcached door at once, as in memcached.
pub const MEMCACHED_WATCHERS_MAX: usize = 20;

/// Log lines that wait for one watcher, as in memcached (`watcher_logbuf_size`).
pub const MEMCACHED_WATCHER_BYTES_MAX: usize = 256 * 1024;

/// Key prefixes that `stats detail` counts; at some 100 bytes each.
pub const MEMCACHED_PREFIXES_MAX: usize = 16_384;

/// Longest tag; a `Surrogate-Key` of 64 such tags is as long as the header block may be.
pub const TAG_BYTES_MAX: usize = 256;

/// Most tags on one entry; the check per hit grows with them.
pub const TAGS_PER_ENTRY_MAX: usize = 64;

/// Most tags that a plugin gives one entry: the host adds one, with the plugin's key epoch.
pub const TAGS_BY_PLUGIN_MAX: usize = TAGS_PER_ENTRY_MAX - 1;

/// Look-ups of one call of a plugin: its deadline does not interrupt them.
pub const LOOK_UPS_PER_CALL_MAX: usize = 32;

/// Longest value that a plugin may look at; it is copied into the plugin's memory.
pub const LOOK_UP_BYTES_MAX: usize = 1024 * 1024;

/// Most targets that one invalidation may name.
pub const TARGETS_PER_INVALIDATION_MAX: usize = 10_000;

/// Variants kept of one page; the oldest gives way, so that a hostile `Vary` can't fill the memory.
pub const VARIANTS_PER_KEY_MAX: usize = 16;

/// Rows of invalidated keys, in each of two generations, that are remembered for fills in flight;
/// older ones become one floor. At some 40 bytes each at most, beside the budget.
pub const FENCE_KEY_ROWS_MAX: usize = 1 << 18;

/// Tags, URLs and sites that the fence may hold at least: those of entries in memory, and those
/// that were invalidated. At some 90 bytes each, beside the budget.
pub const FENCE_CELLS_MIN: usize = 1 << 20;

/// Of a larger budget, so many bytes for each of them: an entry takes more.
pub const FENCE_BYTES_PER_CELL: u64 = 256;

/// Rows of invalidated prefixes; beyond, everything older is taken as invalid.
pub const FENCE_PREFIXES_MAX: usize = 10_000;

/// For how long rows are kept for a fill that may be running; slower fills are not stored.
pub const FILL_MS_MAX: u64 = 120_000;

/// Deaths that `explain` can name after the entry is gone.
pub const REMEMBERED_DEATHS_MAX: usize = 4_096;

/// Events kept for `GET /v1/events`.
pub const REMEMBERED_EVENTS_MAX: usize = 1_000;

/// Largest body of a webhook; the usual senders stay below 1 MB.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Most fields of one request on the HTTP listeners.
pub const HTTP_HEADERS_MAX: usize = 100;

/// Bytes of one HTTP head.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a request's target: as long as a key may be.
pub const HTTP_TARGET_BYTES_MAX: usize = KEY_BYTES_MAX;

/// Time to send a whole HTTP head before the connection is closed.
pub const HTTP_HEAD_MS_MAX: u64 = 10_000;

/// Changes that one event may carry; a sender with more of one model names the model as a whole.
pub const CHANGES_PER_EVENT_MAX: usize = 1_000;

/// Acknowledged deliveries that are recognised when a sender repeats them.
pub const REMEMBERED_DELIVERIES_MAX: usize = 100_000;

/// Longest delay after which an event is applied again.
pub const HOLD_MS_MAX: u64 = 600_000;

/// Targets that wait to be invalidated again; beyond, everything is invalidated instead.
pub const HELD_TARGETS_MAX: usize = 100_000;

/// Longest time that an announced change keeps what it names shut.
pub const INTENT_MS_MAX: u64 = 60_000;

/// Announced changes that have not ended: as many transactions as a large application has at once.
pub const INTENTS_MAX: usize = 1_000;

/// Targets that they may keep shut, and those that are remembered of intents that have ended.
pub const INTENT_TARGETS_MAX: usize = 100_000;

/// Intents that are remembered after their end, for a commit that comes late or again.
pub const REMEMBERED_INTENTS_MAX: usize = 1_000;

/// Longest id of an intent: that of a transaction, with a name before it.
pub const INTENT_ID_BYTES_MAX: usize = 200;

/// Events that wait to be audited; beyond, they are not.
pub const AUDITS_WAITING_MAX: usize = 1_000;

/// Pages that wait to be fetched anew because events asked for it: as many as one invalidation may
/// name, at some kilobytes each.
pub const REFRESHES_WAITING_MAX: usize = 10_000;

/// Connections to the API at once; its clients are a team's own servers.
pub const API_CONNECTIONS_MAX: usize = 1_024;

/// Time for the whole body of a webhook: its senders give up sooner.
pub const EVENT_BODY_MS_MAX: u64 = 10_000;

/// Time for the whole body of a value that is put over the API.
pub const API_BODY_MS_MAX: u64 = 30_000;

/// A client that takes nothing of what it asked for during this time is disconnected.
pub const WRITE_STALL_MS_MAX: u64 = 60_000;

/// Time for a TLS handshake: three turns on a slow network.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 10_000;

/// Connections over the limit that are being told so at once; more are closed without a word.
pub const REFUSALS_MAX: usize = 64;
