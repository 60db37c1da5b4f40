//! `wasmcached tier`: for those who run a database tier.
//!
//! # Invariants
//! - Commands that only look work while the server runs, and change nothing.
//! - `verify` exits 1 where something is damaged.
//!
//! # Not here
//! How it is read and judged (`tier::operator`).

use std::fs::OpenOptions;
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::model::{Kind, Tag, TagError};
use crate::tier::operator::{
    self, Imported, Inspector, Listed, OperatorError, Selection, Text, Verification,
};
use crate::tier::{Address, AddressError};

/// What to do with a tier.
#[derive(Debug, Subcommand)]
pub enum TierCommand {
    /// List keys with sizes, tags and what the rule says about them, and how much there is
    Inspect(InspectArgs),
    /// Read every row and judge it; exits 1 if anything is damaged
    Verify {
        /// Which
        #[command(flatten)]
        tier: TierArgs,
    },
    /// Write every valid entry as a line of JSON
    ///
    /// Works while the server runs; but only an export that was made while no server had the
    /// database open can be imported.
    Export {
        /// Where to; standard output where it is `-` or missing
        file: Option<PathBuf>,
        /// Which
        #[command(flatten)]
        tier: TierArgs,
    },
    /// Fill a new database with the lines of an export: all of them or, if one is bad, none
    ///
    /// They take the place of what was imported before. Where an import was killed, no server
    /// starts until it is done again.
    ///
    /// Stop the server, export, import, and start the server on the new database: what is
    /// invalidated in between is not known to the export.
    Import {
        /// Where from; standard input where it is `-`
        file: PathBuf,
        /// Which
        #[command(flatten)]
        tier: TierArgs,
    },
    /// Copy a SQLite database to a new file, also while the server runs
    ///
    /// A server that is started on the copy serves what was valid when it was made: run
    /// `wasmcached invalidate --everything` there, unless nothing was invalidated since.
    Backup {
        /// The new file
        file: PathBuf,
        /// Which
        #[command(flatten)]
        tier: TierArgs,
    },
}

/// Which tier.
#[derive(Debug, Args)]
pub struct TierArgs {
    /// Its address: sqlite:///path or postgres://user:password@host/database
    #[arg(long, value_name = "URL", env = "WASMCACHED_DATABASE", hide_env_values = true)]
    database: String,
}

/// `wasmcached tier inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Only keys that begin so
    #[arg(long, default_value = "")]
    prefix: String,
    /// Only entries with this tag
    #[arg(long)]
    tag: Option<String>,
    /// At most so many keys
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Only keys behind this one: the `cursor` of the listing before
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// The same where the `cursor` is `{"base64": …}`, because the key is not UTF-8
    #[arg(long, value_name = "BASE64", conflicts_with = "after", value_parser = decoded)]
    after_base64: Option<Bytes>,
    #[command(flatten)]
    tier: TierArgs,
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TierFailure {
    /// The tier.
    #[error(transparent)]
    Tier(#[from] OperatorError),
    /// The address is none.
    #[error("database {0}")]
    Address(#[from] AddressError),
    /// The tag is none.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A file, or standard output.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Something is damaged; the report says what.
    #[error("database is damaged")]
    Damaged,
}

impl TierCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// What was not done, or found.
    pub async fn run(self) -> Result<(), TierFailure> {
        match self {
            Self::Inspect(args) => args.run().await,
            Self::Verify { tier } => verify(&tier).await,
            Self::Export { file, tier } => export(file.as_deref(), &tier).await,
            Self::Import { file, tier } => import(&file, &tier).await,
            Self::Backup { file, tier } => Ok(tier.open().await?.back_up(&file).await?),
        }
    }
}

impl TierArgs {
    async fn open(&self) -> Result<Inspector, TierFailure> {
        Ok(Inspector::open(&self.address()?, Clock::system()).await?)
    }

    fn address(&self) -> Result<Address, TierFailure> {
        Ok(Address::parse(&self.database)?)
    }
}

impl InspectArgs {
    async fn run(self) -> Result<(), TierFailure> {
        let tag = self.tag.as_deref().map(Tag::new).transpose()?;
        let wanted = Selection {
            prefix: self.prefix.into_bytes(),
            after: self.after.map(Bytes::from).or(self.after_base64).map(Vec::from),
            tag,
            limit: self.limit,
        };
        let mut inspector = self.tier.open().await?;
        let totals = inspector.totals().await?;
        let (listed, is_cut) = inspector.list(&wanted).await?;
        let cursor = listed.last().filter(|_| is_cut).map(|last| Text::of(&last.key));
        print(&json!({
            "keys": listed.iter().map(show).collect::<Vec<_>>(),
            "cursor": cursor,
            "totals": {
                "rows": totals.rows,
                "body_bytes": totals.body_bytes,
                "fence_rows": totals.fence_rows,
                "journal_records": totals.journal_records,
                "intents": totals.intents,
                "epoch": totals.epoch,
            },
        }))
    }
}

fn show(listed: &Listed) -> Value {
    let mut shown = json!({
        "key": Text::of(&listed.key),
        "variant": listed.variant,
        "bytes": listed.body_bytes,
        "state": listed.state.as_str(),
    });
    let (Some(row), Some(fields)) = (&listed.row, shown.as_object_mut()) else { return shown };
    let tags: Vec<&str> = row.content.tags.iter().map(Tag::as_str).collect();
    fields.insert("tags".into(), tags.into());
    fields.insert("birth".into(), row.birth.sequence().to_string().into());
    fields.insert("stored_ms".into(), row.stored_ms.into());
    fields.insert("expires_ms".into(), row.content.expires.as_ms().into());
    if let Kind::Page(head) = &row.content.kind {
        fields.insert("url".into(), (*head.url).into());
        fields.insert("site".into(), (*head.site).into());
    }
    shown
}

async fn verify(tier: &TierArgs) -> Result<(), TierFailure> {
    let found = tier.open().await?.verify().await?;
    let Verification { valid, stale, dead, expired, damaged, .. } = found;
    print(&json!({
        "rows": {
            "valid": valid, "stale": stale, "dead": dead, "expired": expired, "damaged": damaged,
        },
        "damaged_keys": found.damaged_keys.iter().map(|key| Text::of(key)).collect::<Vec<_>>(),
        "fence_damaged": found.fence_damaged,
        "journal_damaged": found.journal_damaged,
        "file": found.file,
    }))?;
    if found.is_whole() { Ok(()) } else { Err(TierFailure::Damaged) }
}

async fn export(file: Option<&Path>, tier: &TierArgs) -> Result<(), TierFailure> {
    let mut inspector = Inspector::open_alone(&tier.address()?, Clock::system()).await?;
    let exported = match file.filter(|file| *file != Path::new("-")) {
        None => inspector.export(&mut BufWriter::new(std::io::stdout().lock())).await?,
        Some(path) => {
            // For its owner alone: it holds what pages and items hold.
            let options = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
            let file = options.map_err(at(path))?;
            inspector.export(&mut BufWriter::new(file)).await?
        }
    };
    let counts = json!({
        "entries": exported.entries,
        "left_out": exported.left_out,
        "sealed": exported.sealed,
    });
    // The lines may be on standard output.
    writeln!(std::io::stderr().lock(), "{counts}").map_err(at(Path::new("standard error")))
}

async fn import(file: &Path, tier: &TierArgs) -> Result<(), TierFailure> {
    let clock = Clock::system();
    let imported = if file == Path::new("-") {
        let mut lines = BufReader::new(std::io::stdin());
        operator::import(&tier.address()?, &clock, &mut lines).await?
    } else {
        let mut lines = BufReader::new(std::fs::File::open(file).map_err(at(file))?);
        operator::import(&tier.address()?, &clock, &mut lines).await?
    };
    let Imported { entries, expired, strange } = imported;
    print(&json!({ "entries": entries, "expired": expired, "left_out": strange }))
}

fn decoded(base64: &str) -> Result<Bytes, base64::DecodeError> {
    STANDARD.decode(base64).map(Bytes::from)
}

fn print(value: &Value) -> Result<(), TierFailure> {
    let written = writeln!(std::io::stdout().lock(), "{value:#}");
    written.map_err(at(Path::new("standard output")))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> TierFailure + use<> {
    let path = path.to_owned();
    move |source| TierFailure::File { path, source }
}
