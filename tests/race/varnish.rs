//! The control: Debian's Varnish with `xkey` and bans, which is known to lose purges that meet a
//! fetch.
//!
//! # Invariants
//! - A dropped one is killed by its id and waited for; its worker ends with it.
//!
//! # Not here
//! The trials: they are the same.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use wasmcached_tests::wait::{LIMIT, eventually};

/// Tags by the field that wasmcached reads; XKEY and BAN are the two ways to purge by them.
const VCL: &str = r#"vcl 4.1;
import std;
import xkey;
backend default { .host = "127.0.0.1"; .port = "{port}"; }
sub vcl_recv {
    if (req.method == "XKEY") {
        return (synth(200, "purged " + xkey.purge(req.http.xkey)));
    }
    if (req.method == "BAN") {
        if (std.ban("obj.http.xkey ~ " + req.http.xkey + "\b")) {
            return (synth(200, "banned"));
        }
        return (synth(500, std.ban_error()));
    }
}
sub vcl_backend_response {
    set beresp.http.xkey = beresp.http.surrogate-key;
}
"#;

/// A running Varnish.
pub(crate) struct Varnish {
    child: Child,
    address: String,
    _dir: TempDir,
}

impl Varnish {
    /// In front of this origin.
    pub(crate) fn start(origin: SocketAddr) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let vcl = dir.path().join("race.vcl");
        std::fs::write(&vcl, VCL.replace("{port}", &origin.port().to_string())).expect("write VCL");
        // Nothing else of the suites uses this address, so no connection takes the port meanwhile.
        let listener = TcpListener::bind("127.0.10.1:0").expect("listen");
        let address = listener.local_addr().expect("address").to_string();
        drop(listener);
        // Where Debian has it, which is not in everybody's PATH.
        let installed = Path::new("/usr/sbin/varnishd");
        let program = if installed.is_file() { installed } else { Path::new("varnishd") };
        let mut command = Command::new(program);
        command.args(["-F", "-jnone", "-smalloc,64m", "-a", &address, "-f"]).arg(&vcl);
        command.arg("-n").arg(dir.path().join("varnish"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("start varnishd; `tests/run` installs it");
        let varnish = Self { child, address, _dir: dir };
        eventually("Varnish answers", || varnish.answers());
        varnish
    }

    /// Whether its worker does: the first to listen, and to reset connections, is its manager.
    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return false };
        stream.set_read_timeout(Some(LIMIT)).expect("set a time limit");
        // Nothing is asked of the origin.
        let request = b"XKEY / HTTP/1.1\r\nHost: a\r\nxkey: none\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        stream.write_all(request).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200 ")
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
