//! Reading the tables beside a server that may have them.
//!
//! # Invariants
//! - A reading changes nothing. Rows come from a cursor, sorted once: there is no index by key.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Error};

use super::filling::check_import;
use super::journal::{events_after, targets_of};
use super::open::{IDLE_KEEPALIVE_S, LOCK_CLASS, explain, in_time, place};
use super::ran_plugins::ran_plugins;
use super::recover::recover;
use super::session::{ANSWER_MS_MAX, FENCE_MS_MAX, answered, connect_to_look, lock};
use crate::cache::Recovered;
use crate::model::{Mode, Sequence, Target};
use crate::tier::address::PostgresAddress;
use crate::tier::database::DatabaseError;
use crate::tier::error::OpenError;
use crate::tier::operator::{Counts, Part, Piece, damaged_fence, damaged_journal, pieces};
use crate::tier::ran_plugins::RanPlugin;
use crate::tier::rows::Events;

/// How long the lock is waited for before it counts as a server's.
const LOCK_MS: u64 = 100;

/// A schema that is read.
pub(in crate::tier) struct Reading {
    address: PostgresAddress,
    connection: PgConnection,
    /// Whether a transaction has been begun.
    has_begun: bool,
}

impl Reading {
    /// Opens a schema that is there and ours, and in which no import is unfinished.
    pub(in crate::tier) async fn open(address: &PostgresAddress) -> Result<Self, OpenError> {
        let options = address.options.clone().options([("default_transaction_read_only", "on")]);
        let mut connection =
            connect_to_look(&options).await.map_err(|error| explain(address, error))?;
        check_import(address, &mut connection).await?;
        Ok(Self { address: address.clone(), connection, has_begun: false })
    }

    /// What an error of this schema means.
    pub(in crate::tier) fn told(&self, error: Error) -> OpenError {
        explain(&self.address, error)
    }

    /// How often a server has opened it.
    pub(in crate::tier) async fn epoch(&mut self) -> Result<i64, Error> {
        let asking = sqlx::query_scalar("SELECT epoch FROM state").fetch_one(&mut self.connection);
        answered(ANSWER_MS_MAX, asking).await
    }

    /// What a server of this epoch would start from.
    pub(in crate::tier) async fn recover(&mut self, epoch: u32) -> Result<Recovered, Error> {
        answered(FENCE_MS_MAX, recover(&mut self.connection, epoch)).await
    }

    /// The next events of the journal after a sequence, in order, without what they named.
    pub(in crate::tier) async fn events_after(
        &mut self,
        after: Sequence,
        limit: i64,
    ) -> Result<Events, Error> {
        events_after(&mut self.connection, after, limit).await
    }

    /// What a record of the journal named.
    pub(in crate::tier) async fn targets_of(
        &mut self,
        sequence: Sequence,
    ) -> Result<Vec<(Target, Mode)>, Error> {
        targets_of(&mut self.connection, sequence).await
    }

    /// The plugins that may have tagged something.
    pub(in crate::tier) async fn ran_plugins(&mut self) -> Result<Vec<RanPlugin>, Error> {
        ran_plugins(&mut self.connection).await
    }

    /// What the tables hold.
    pub(in crate::tier) async fn counts(&mut self) -> Result<Counts, Error> {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM entries), \
             (SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM entries), \
             (SELECT count(*) FROM fence), (SELECT count(*) FROM journal), \
             (SELECT count(*) FROM intents)",
        )
        .fetch_one(&mut self.connection)
        .await
    }

    /// Begins at the first row of a key that is not below this one.
    pub(in crate::tier) async fn begin(&mut self, key: &[u8], part: Part) -> Result<(), Error> {
        if std::mem::replace(&mut self.has_begun, true) {
            sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await?;
        }
        sqlx::raw_sql("BEGIN READ ONLY").execute(&mut self.connection).await?;
        let sql = match part {
            Part::Head => {
                "DECLARE rows NO SCROLL CURSOR FOR SELECT key, variant, kind, flags, cas, birth, \
                 stored_ms, expires_ms, tags, url, site, status, received_ms, initial_age_ms, \
                 lifetime_ms, stale_while_revalidate_ms, stale_if_error_ms, staleness, plugin, \
                 vary, headers, ''::bytea AS body, NULL::bigint AS unpacked_bytes, \
                 coalesce(unpacked_bytes, octet_length(body))::bigint AS body_bytes \
                 FROM entries WHERE key >= $1 ORDER BY key, variant"
            }
            Part::Whole => {
                "DECLARE rows NO SCROLL CURSOR FOR SELECT *, \
                 coalesce(unpacked_bytes, octet_length(body))::bigint AS body_bytes \
                 FROM entries WHERE key >= $1 ORDER BY key, variant"
            }
        };
        sqlx::query(sql).bind(key).execute(&mut self.connection).await?;
        Ok(())
    }

    /// The next rows in the order of keys; none at the end.
    pub(in crate::tier) async fn next(&mut self, _part: Part) -> Result<Vec<Piece>, Error> {
        let found = sqlx::query("FETCH 32 FROM rows").fetch_all(&mut self.connection).await?;
        Ok(pieces(&found))
    }

    /// Rows of the fence, and records of the journal, that can't be read.
    pub(in crate::tier) async fn damaged(&mut self) -> Result<(u64, u64), Error> {
        let fence = sqlx::query("SELECT kind, name, hard, soft FROM fence");
        let fence = damaged_fence(&fence.fetch_all(&mut self.connection).await?);
        let journal = sqlx::query("SELECT targets FROM journal");
        Ok((fence, damaged_journal(&journal.fetch_all(&mut self.connection).await?)))
    }
}

/// Keeps servers out for as long as it is there.
pub(in crate::tier) struct Lock {
    connection: PgConnection,
}

impl Lock {
    /// `None` where a server is in.
    pub(in crate::tier) async fn take(
        address: &PostgresAddress,
    ) -> Result<Option<Self>, OpenError> {
        let told = |error| explain(address, error);
        // It says nothing for as long as entries are read.
        let idle = [("idle_session_timeout", "0"), ("tcp_keepalives_idle", IDLE_KEEPALIVE_S)];
        let options = address.options.clone().options(idle);
        let mut connection = connect_to_look(&options).await.map_err(told)?;
        let place = in_time(address, place(address, &mut connection)).await?;
        let number = LOCK_CLASS << 32 | place.oid;
        match lock(&mut connection, number, LOCK_MS).await.map_err(told)? {
            true => Ok(Some(Self { connection })),
            false => {
                connection.close().await.map_err(told)?;
                Ok(None)
            }
        }
    }

    /// Whether its session is still there, which has had the lock since it was taken.
    pub(in crate::tier) async fn check(&mut self) -> Result<(), DatabaseError> {
        let asking = sqlx::query("SELECT 1").execute(&mut self.connection);
        answered(ANSWER_MS_MAX, asking).await?;
        Ok(())
    }
}
