//! The access log.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;

use super::stage::{Stage, get, ok, request};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// The lines of the target `access`, from there on.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once("access: "));
        lines.map(|(_, line)| line.to_owned()).collect()
    }

    fn start(&self, filter: &str) -> tracing::subscriber::DefaultGuard {
        let kept = self.clone();
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_ansi(false)
            .with_writer(move || kept.clone());
        tracing::subscriber::set_default(log.finish())
    }
}

#[tokio::test]
async fn each_request_has_a_line_with_what_became_of_it_hits_too() {
    let kept = Kept::default();
    let _guard = kept.start("warn,access=debug");
    let mut stage = Stage::new().await;
    stage.fetch(&get("/a?b", ""), &ok("Cache-Control: max-age=60\r\n", "page")).await;
    stage.cached(&get("/a?b", "")).await.is(200, "page");
    stage.fetch(&request("POST", "/a", ""), &ok("", "ok")).await;
    stage.cached(&request("TRACE", "/", "")).await;
    let lines = kept.lines();
    let wanted = [
        ("method=GET target=/a?b status=200 bytes=4", "outcome=\"miss\""),
        ("method=GET target=/a?b status=200 bytes=4", "outcome=\"hit\""),
        ("method=POST target=/a status=200 bytes=2", "outcome=\"pass\" reason=\"method\""),
        ("method=TRACE target=/ status=405 ", "outcome=\"refused\" reason=\"method\""),
    ];
    assert_eq!(lines.len(), wanted.len(), "{lines:#?}");
    for (line, (asked, became)) in lines.iter().zip(wanted) {
        assert!(line.starts_with("client=127.0.0.1 "), "{line}");
        assert!(line.contains(asked) && line.contains(became), "{line} is not {asked} {became}");
        assert!(line.contains(" time_us="), "{line}");
    }
    assert!(lines.iter().take(3).all(|line| line.contains("site=\"test\"")), "{lines:#?}");
}

#[tokio::test]
async fn nothing_is_written_unless_it_is_asked_for() {
    let kept = Kept::default();
    let _guard = kept.start("warn,wasmcached=info");
    let mut stage = Stage::new().await;
    stage.fetch(&get("/", ""), &ok("", "page")).await.is(200, "page");
    assert_eq!(kept.lines(), Vec::<String>::new());
}
