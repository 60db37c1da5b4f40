//! Addresses of databases, as they are configured.
//!
//! # Invariants
//! - What is shown of an address, by whatever way, has no password.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::str::FromStr as _;

use percent_encoding::percent_decode_str;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// Parameters of a PostgreSQL address that are understood; the driver would pass over others with a
/// warning that has their values.
const PARAMETERS: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Those that name files.
const FILE_PARAMETERS: [&str; 3] = ["sslcert", "sslkey", "sslrootcert"];

/// Where a database is.
#[derive(Debug, Clone)]
pub enum Address {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(Box<PostgresAddress>),
}

/// Where a database of a PostgreSQL server is, and how it is connected to.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) options: PgConnectOptions,
}

/// Why text is not the address of a database.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Another form.
    #[error(
        "`{shown}` is not `sqlite:///absolute/path`, `sqlite://relative/path` or \
         `postgres://user:password@host:port/database`"
    )]
    Form {
        /// As given if it begins as a file's does; else it may hold a password.
        shown: String,
    },
    /// SQLite's own addresses have them; silently leaving out `?mode=ro` would be wrong. Not shown,
    /// because other SQLites take a password there.
    #[error("address has a `?`; query parts are not understood")]
    Query,
    /// Each of the server's connections would have a database of its own.
    #[error("`:memory:` is not a file; leave the address out to keep entries in memory alone")]
    Memory,
    /// A parameter of a PostgreSQL address that is none.
    #[error("`{name}` is not a parameter of the address; {} are", PARAMETERS.join(", "))]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A file of the connection's encryption; the driver would not say which.
    #[error("{name} {}: {reason}", path.display())]
    File {
        /// The parameter that names it.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why it can't be read.
        reason: String,
    },
    /// A password with such signs would be read as the host, and then shown.
    #[error(
        "address of PostgreSQL has an `@` that does not end user and password; percent-encode `@` \
         as %40 in each part, `/` as %2F, `?` as %3F and `#` as %23"
    )]
    Unencoded,
    /// A PostgreSQL address that can't be read.
    #[error("address of PostgreSQL: {reason}")]
    Postgres {
        /// What is wrong with it, without the address itself.
        reason: String,
    },
}

impl Address {
    /// Reads an address; of what it names only the files of certificates are opened.
    ///
    /// # Errors
    /// The address can't be used, whatever is at its place, or such a file can't be read.
    pub fn parse(address: &str) -> Result<Self, AddressError> {
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            return PostgresAddress::parse(address).map(|parsed| Self::Postgres(Box::new(parsed)));
        }
        let path = address.strip_prefix("sqlite://").filter(|path| !path.is_empty());
        let shown = || if address.starts_with("sqlite:") { address } else { "…" };
        match path.ok_or_else(|| AddressError::Form { shown: shown().to_owned() })? {
            path if path.contains('?') => Err(AddressError::Query),
            ":memory:" => Err(AddressError::Memory),
            path => Ok(Self::Sqlite(PathBuf::from(path))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(address) => write!(f, "{address}"),
        }
    }
}

impl PostgresAddress {
    fn parse(address: &str) -> Result<Self, AddressError> {
        // Before anything of it is taken for something that may be shown.
        check_encoding(address)?;
        let query = address.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let names = query.split('&').filter_map(|pair| pair.split('=').next());
        let mut unknown = names.filter(|name| {
            !name.is_empty() && !name.starts_with("options[") && !PARAMETERS.contains(name)
        });
        if let Some(name) = unknown.next() {
            return Err(AddressError::Parameter { name: name.to_owned() });
        }
        check_files(query)?;
        let options = PgConnectOptions::from_str(&with_host(address)).map_err(|error| {
            let reason = match error {
                sqlx::Error::Configuration(reason) => reason.to_string(),
                other => other.to_string(),
            };
            AddressError::Postgres { reason }
        })?;
        let options = match options.get_application_name() {
            Some(_) => options,
            // For those who look who is connected.
            None => options.application_name("wasmcached"),
        };
        Ok(Self { options: options.disable_statement_logging() })
    }
}

/// Each file that a parameter names can be read; a certificate may also stand there itself.
fn check_files(query: &str) -> Result<(), AddressError> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    for (name, value) in pairs.filter(|(name, _)| FILE_PARAMETERS.contains(name)) {
        let value = value.replace('+', " ");
        let path = percent_decode_str(&value).decode_utf8_lossy();
        if path.trim_start().starts_with("-----BEGIN") {
            continue;
        }
        let path = PathBuf::from(path.as_ref());
        if let Err(error) = File::open(&path) {
            let (name, reason) = (name.to_owned(), error.to_string());
            return Err(AddressError::File { name, path, reason });
        }
    }
    Ok(())
}

/// User and password end at the one `@`, which is before the path.
fn check_encoding(address: &str) -> Result<(), AddressError> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (authority, others) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    match authority.matches('@').count() > 1 || others.contains('@') {
        true => Err(AddressError::Unencoded),
        false => Ok(()),
    }
}

/// A user without a host, as libpq takes it where the parameter `host` names a socket's folder; the
/// driver needs one, and prefers the parameter.
fn with_host(address: &str) -> String {
    match address.split_once("@/") {
        Some((user, rest)) if user.matches('/').count() == 2 => format!("{user}@localhost/{rest}"),
        _ => address.to_owned(),
    }
}

impl PostgresAddress {
    /// How it is connected to, password included.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let (user, port) = (options.get_username(), options.get_port());
        let database = options.get_database().unwrap_or(user);
        match options.get_socket() {
            Some(folder) => write!(f, "postgres://{user}@/{database}?host={}", folder.display()),
            None => write!(f, "postgres://{user}@{}:{port}/{database}", options.get_host()),
        }
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_not_shown_by_any_way() {
        let address = Address::parse(
            "postgres://web:hunter2@db.example:6432/cache?sslmode=require&application_name=a",
        )
        .unwrap();
        assert_eq!(address.to_string(), "postgres://web@db.example:6432/cache");
        assert!(!format!("{address:?} {address:#?}").contains("hunter2"));
        for address in [
            "postgresql:///cache?host=/run/pg&user=web&password=hunter2",
            "postgres://web:hunter2@/cache?host=/run/pg",
        ] {
            let address = Address::parse(address).unwrap();
            assert_eq!(address.to_string(), "postgres://web@/cache?host=/run/pg");
            assert!(!format!("{address:?}").contains("hunter2"));
        }
    }

    #[test]
    fn mistakes_are_told_without_what_may_be_a_password() {
        for (address, told) in [
            ("postgres:hunter2", "is not `sqlite:///absolute/path`"),
            ("hunter2", "is not `sqlite:///absolute/path`"),
            ("postgres://web:hunter2@h/db?pasword=hunter2", "`pasword` is not a parameter"),
            ("postgres://web:hunter2@h:port/db", "address of PostgreSQL: invalid port number"),
            ("postgres://web:hunter2@h/db?sslmode=maybe", "unknown value \"maybe\""),
            ("postgres://web:pw@hunter2/0rd!@h/db", "percent-encode `@` as %40"),
            ("postgres://web:pw@hunter2@h/db", "percent-encode `@` as %40"),
            ("postgres://web:pa/hunter2@h/db", "percent-encode `@` as %40"),
            ("postgres://web:pa?hunter2@h", "percent-encode `@` as %40"),
            ("postgres://web:pa#hunter2@h/db", "percent-encode `@` as %40"),
            ("postgresql://h/db?user=web&password=p@hunter2", "percent-encode `@` as %40"),
            (
                "postgres://web:hunter2@h/db?sslmode=verify-full&sslrootcert=/no%20such.pem",
                "sslrootcert /no such.pem: No such file",
            ),
        ] {
            let error = Address::parse(address).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(told) && !shown.contains("hunter2"), "{address}: {shown}");
        }
    }
}
