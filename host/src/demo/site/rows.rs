//! The application's rows, and the slow query.
//!
//! # Invariants
//! - A save and the revision that announces it commit together.
//! - The rows of a page are read before its slow query: what a page shows is as old as its start.
//!   That is the usual order, and the one in which caches keep stale pages.
//!
//! # Not here
//! HTML, HTTP and webhooks.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use tokio::time::Instant;

use super::SiteError;

/// Connections, each with its own thread: pages that are rendered at the same time.
const CONNECTIONS: u32 = 4;

/// Points per trek, as `schema.sql` makes them; the slow query pairs at most so many.
const POINTS_MAX: u32 = 12_000;

/// Messages on the queue's page.
const MESSAGES_MAX: i64 = 50;

/// How long a page's query should take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    /// Milliseconds on this machine as it is now.
    pub(crate) page_ms: u32,
}

/// A trek.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Trek {
    pub(super) id: i64,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) days: i64,
    pub(super) height_m: i64,
    pub(super) blurb: String,
    /// Title of its first photo; empty where it has none.
    pub(super) cover: String,
}

/// A photo and the slug of its trek.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Photo {
    pub(super) id: i64,
    pub(super) title: String,
    pub(super) trek: String,
}

/// A visitor's message.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Message {
    pub(super) author: String,
    pub(super) text: String,
    /// RFC 3339.
    pub(super) received_at: String,
}

/// A photo before and after a save.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) before: Photo,
    pub(super) after: Photo,
    /// RFC 3339.
    pub(super) at: String,
}

/// How often anything was saved, and when last; the validators of pages.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(super) struct Revision {
    pub(super) number: i64,
    pub(super) saved_s: i64,
}

/// Which points the slow query pairs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope {
    /// Those of all treks.
    All,
    /// Those of the trek with this id.
    Trek(i64),
}

/// What the slow query found, and what it cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Survey {
    pub(super) points: u32,
    pub(super) span_m: f64,
    pub(super) took: Duration,
}

/// The open database; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pool: SqlitePool,
    points: u32,
}

const TREKS: &str = "SELECT id, slug, name, days, height_m, blurb, \
     coalesce((SELECT title FROM photo WHERE trek_id = trek.id ORDER BY id LIMIT 1), '') AS cover \
     FROM trek";

const PHOTOS: &str =
    "SELECT photo.id, title, slug AS trek FROM photo JOIN trek ON trek.id = trek_id";

impl Rows {
    /// Opens or makes the file, and measures how many points fill `work`.
    pub(super) async fn open(path: &Path, work: Work) -> Result<Self, SiteError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .foreign_keys(true)
            // Slow is what the pages are meant to be.
            .disable_statement_logging();
        let pool =
            SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&pool).await?;
        if version == 0 {
            let mut transaction = pool.begin().await?;
            sqlx::raw_sql(include_str!("schema.sql")).execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        let mut rows = Self { pool, points: POINTS_MAX };
        rows.points = rows.calibrate(work).await?;
        Ok(rows)
    }

    /// Pairs grow with the square of the points: one short run tells the size of a longer one, and
    /// that, long enough to be measured well, the size that was asked for.
    async fn calibrate(&self, work: Work) -> Result<u32, SiteError> {
        let page_s = f64::from(work.page_ms) / 1000.0;
        let mut points = 300.0;
        for share in [0.25, 1.0] {
            let survey = self.pair(Scope::Trek(1), round(points)).await?;
            let took_s = survey.took.as_secs_f64().max(0.000_1);
            points = f64::from(survey.points) * (page_s * share / took_s).sqrt();
        }
        Ok(round(points))
    }

    pub(super) async fn treks(&self) -> Result<Vec<Trek>, SiteError> {
        let sql = sqlx::AssertSqlSafe(format!("{TREKS} ORDER BY name"));
        Ok(sqlx::query_as(sql).fetch_all(&self.pool).await?)
    }

    pub(super) async fn trek(&self, slug: &str) -> Result<Option<Trek>, SiteError> {
        let sql = sqlx::AssertSqlSafe(format!("{TREKS} WHERE slug = ?"));
        Ok(sqlx::query_as(sql).bind(slug).fetch_optional(&self.pool).await?)
    }

    pub(super) async fn photos(&self, trek_id: i64) -> Result<Vec<Photo>, SiteError> {
        let sql = sqlx::AssertSqlSafe(format!("{PHOTOS} WHERE trek_id = ? ORDER BY photo.id"));
        Ok(sqlx::query_as(sql).bind(trek_id).fetch_all(&self.pool).await?)
    }

    pub(super) async fn photo(&self, id: i64) -> Result<Option<Photo>, SiteError> {
        let sql = sqlx::AssertSqlSafe(format!("{PHOTOS} WHERE photo.id = ?"));
        Ok(sqlx::query_as(sql).bind(id).fetch_optional(&self.pool).await?)
    }

    pub(super) async fn messages(&self) -> Result<Vec<Message>, SiteError> {
        let sql = "SELECT author, text, received_at FROM message ORDER BY id DESC LIMIT ?";
        Ok(sqlx::query_as(sql).bind(MESSAGES_MAX).fetch_all(&self.pool).await?)
    }

    pub(super) async fn revision(&self) -> Result<Revision, SiteError> {
        let sql = "SELECT number, saved_s FROM revision";
        Ok(sqlx::query_as(sql).fetch_one(&self.pool).await?)
    }

    /// Saves a photo; `None` where there is no such photo or no such trek.
    pub(super) async fn save_photo(
        &self,
        id: i64,
        title: &str,
        trek: &str,
    ) -> Result<Option<Saved>, SiteError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let by_id = || sqlx::AssertSqlSafe(format!("{PHOTOS} WHERE photo.id = ?"));
        let Some(before) =
            sqlx::query_as::<_, Photo>(by_id()).bind(id).fetch_optional(&mut *transaction).await?
        else {
            return Ok(None);
        };
        let update = "UPDATE photo SET title = ?, trek_id = trek.id FROM trek \
                      WHERE photo.id = ? AND trek.slug = ?";
        let updated =
            sqlx::query(update).bind(title).bind(id).bind(trek).execute(&mut *transaction).await?;
        if updated.rows_affected() == 0 {
            return Ok(None);
        }
        let after = sqlx::query_as(by_id()).bind(id).fetch_one(&mut *transaction).await?;
        let at = announce(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Some(Saved { before, after, at }))
    }

    /// Adds a message; returns its id and the time, RFC 3339.
    pub(super) async fn add_message(
        &self,
        author: &str,
        text: &str,
    ) -> Result<(i64, String), SiteError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let at = announce(&mut transaction).await?;
        let insert = "INSERT INTO message (author, text, received_at) VALUES (?, ?, ?)";
        let inserted = sqlx::query(insert)
            .bind(author)
            .bind(text)
            .bind(&at)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok((inserted.last_insert_rowid(), at))
    }

    /// The slow query at its calibrated size.
    pub(super) async fn survey(&self, scope: Scope) -> Result<Survey, SiteError> {
        self.pair(scope, self.points).await
    }

    /// Compares every point with every other and returns the longest distance.
    async fn pair(&self, scope: Scope, points: u32) -> Result<Survey, SiteError> {
        let one_trek = "WITH part AS MATERIALIZED \
             (SELECT east_m, north_m FROM point WHERE trek_id = ?1 AND n < ?2)";
        let all_treks = "WITH part AS MATERIALIZED \
             (SELECT east_m, north_m FROM point WHERE ?1 IS NOT NULL ORDER BY n LIMIT ?2)";
        let (part, trek_id) = match scope {
            Scope::Trek(id) => (one_trek, id),
            Scope::All => (all_treks, 0),
        };
        let sql = format!(
            "{part} SELECT max((a.east_m - b.east_m) * (a.east_m - b.east_m) \
             + (a.north_m - b.north_m) * (a.north_m - b.north_m)) FROM part a CROSS JOIN part b"
        );
        let start = Instant::now();
        let square: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(trek_id)
            .bind(points)
            .fetch_one(&self.pool)
            .await?;
        let took = start.elapsed();
        #[allow(clippy::cast_precision_loss, reason = "squares of distances below 100 km")]
        let span_m = (square.unwrap_or(0) as f64).sqrt();
        Ok(Survey { points, span_m, took })
    }
}

/// Raises the revision in the transaction of the save; returns the time, RFC 3339.
async fn announce(transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>) -> sqlx::Result<String> {
    let raise = "UPDATE revision SET number = number + 1, saved_s = unixepoch() \
                 RETURNING strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
    sqlx::query_scalar(raise).fetch_one(&mut **transaction).await
}

fn round(points: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let whole = points.clamp(2.0, f64::from(POINTS_MAX)) as u32;
    whole
}
