//! Configuration files for the suites; `{dir}` stands for the server's own folder.

/// The secret that [`trekking`] gives to its source.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq3Tm0cVwzXs=";

/// Every listener on a free port of loopback; no site, no tier.
pub fn plain() -> String {
    let listeners = "[memcached]\nlisten = \"127.0.0.1:0\"\nunix = \"{dir}/memcached.sock\"\n\
                     [api]\nlisten = \"127.0.0.1:0\"\n";
    format!("memory = \"32MiB\"\n\n{listeners}")
}

/// What the transcripts count on, as the runner beside the code has it.
pub fn of_transcripts() -> String {
    let listeners = "[memcached]\nlisten = \"127.0.0.1:0\"\nunix = \"{dir}/memcached.sock\"\n\
                     max_connections = 64\n[api]\nlisten = \"127.0.0.1:0\"\n";
    format!("memory = \"64MiB\"\nthreads = 1\n\n{listeners}")
}

/// One site in front of `origin` with the shipped plugin `trekking`, and its source of events.
pub fn trekking(origin: &str) -> String {
    format!(
        "{}\n[pages]\nlisten = \"127.0.0.1:0\"\n\n[plugins.trekking]\n\n\
         [[sites]]\nname = \"trekking\"\norigin = \"{origin}\"\nplugin = \"trekking\"\n\n\
         [[sources]]\nname = \"trekking\"\nverify = \"standard\"\nsecrets = [\"{SECRET}\"]\n\
         plugin = \"trekking\"\n",
        plain()
    )
}

/// The same with a SQLite file below the memory.
pub fn with_tier(settings: &str) -> String {
    format!("database = \"sqlite://{{dir}}/cache.db\"\n{settings}")
}
