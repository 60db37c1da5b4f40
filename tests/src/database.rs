//! The databases that a tier can lie on, so that what holds over one is shown over both.

use std::process::{Command, Output};

use crate::Server;
use crate::postgres::{PASSWORD, Postgres};

/// Names the kind of database that every server of the run has below its memory unless its settings
/// say otherwise: `sqlite` or `postgres`. Without it such servers have none.
pub const VARIABLE: &str = "WASMCACHED_TESTS_DATABASE";

/// What a database is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of the server's own.
    Sqlite,
    /// The PostgreSQL server that all tests share.
    Postgres,
}

/// A database of a test's own.
pub struct Database {
    /// Its address; `{dir}` is the folder of the server that is configured with it.
    address: String,
}

impl Database {
    /// The kind that [`VARIABLE`] asks for.
    #[track_caller]
    pub fn for_every_server() -> Option<Kind> {
        let kind = std::env::var(VARIABLE).ok()?;
        match kind.as_str() {
            "" => None,
            "sqlite" => Some(Kind::Sqlite),
            "postgres" => Some(Kind::Postgres),
            other => panic!("{VARIABLE} is `{other}`; `sqlite` and `postgres` are known"),
        }
    }

    /// One of this kind for a server that gives it back.
    #[track_caller]
    pub fn lend(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::sqlite(),
            Kind::Postgres => Self { address: Postgres::shared().lend_database() },
        }
    }

    /// Whether these settings have one already.
    pub fn is_named_in(settings: &str) -> bool {
        settings.lines().any(|line| line.starts_with("database = "))
    }

    /// Gives it back; a file goes with its folder.
    pub fn give_back(self) {
        if self.address.starts_with("postgres:") {
            Postgres::shared().take_back(self.address);
        }
    }

    /// A SQLite file in the server's folder.
    pub fn sqlite() -> Self {
        Self { address: "sqlite://{dir}/cache.db".to_owned() }
    }

    /// A database of the PostgreSQL server that all tests share.
    pub fn postgres() -> Self {
        Self { address: Postgres::shared().new_database() }
    }

    /// One at this address.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Settings with this database below the memory.
    pub fn below(&self, settings: &str) -> String {
        format!("database = \"{}\"\n{settings}", self.address)
    }

    /// The same as it is for a server, for others who want to use its database.
    pub fn of(&self, server: &Server) -> Self {
        Self { address: self.address.replace("{dir}", server.dir().to_str().expect("text")) }
    }

    /// What it says to a statement, whether a server has it or not: the first row.
    #[track_caller]
    pub fn ask(&self, statement: &str) -> String {
        let Some(file) = self.address.strip_prefix("sqlite://") else {
            let name = self.address.split(['/', '?']).nth(3).expect("name of the database");
            return Postgres::shared().ask(name, statement);
        };
        let script = "import sqlite3, sys\n\
                      asked = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
                      print(*(asked.execute(sys.argv[2]).fetchone() or ()), sep='|')\n";
        let asked = Command::new("python3").args(["-c", script, file, statement]).output();
        let Output { status, stdout, stderr } = asked.expect("run python3");
        assert!(status.success(), "{statement}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("text").trim().to_owned()
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How people are told of it: its path, or its address without the password.
    pub fn shown(&self) -> String {
        let address = self.address.strip_prefix("sqlite://").unwrap_or(&self.address);
        address.replace(&format!(":{PASSWORD}@"), "@")
    }
}

/// Makes two tests of each function that takes a [`Database`], in a module for each.
#[macro_export]
macro_rules! over_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&$crate::Database::sqlite());
            })+
        }
        mod postgres {
            $(#[test]
            fn $name() {
                super::$name(&$crate::Database::postgres());
            })+
        }
    };
}
