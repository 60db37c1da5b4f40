//! One server with its clients and its origin, over many lives.
//!
//! # Invariants
//! - Every life is ended by SIGKILL; what the clients were told in it is checked in the next one,
//!   before anything else is done there.
//! - Every start is measured; most are quick, though the machine may hold one or another up.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use parking_lot::Mutex;
use serde_json::json;
use wasmcached_tests::origin::Response;
use wasmcached_tests::server::LOCKED;
use wasmcached_tests::wait::{LIMIT, eventually, eventually_or_not, monotonic_ns};
use wasmcached_tests::{Database, Origin, Random, Server, http, server, settings};

use crate::client::Memcached;
use crate::ledger::{Ledger, Sight, body_of};
use crate::names::{Names, Place, TAGS, TagSet, tag_names};
use crate::workload::{Client, Delivery, Doors, Mix, is_refusal, sequence_of};

/// Of a hundred starts one may take longer: of hundreds some fall on a moment in which the machine
/// stands still.
const START_NS_MAX: u64 = 2_000_000_000;

/// How long the source's events are held.
const HOLD_MS: u64 = 50;

/// Ports below those that the system gives to clients: while the server is down, nobody takes its.
const PORTS: std::ops::Range<usize> = 20_000..32_000;

/// Clients that speak memcached's protocol, beside the one that speaks HTTP.
const MEMCACHED_CLIENTS: usize = 3;

/// Commands of a life, about.
const COMMANDS_MAX: usize = 250;

/// Longest time after the last of them, nanoseconds.
const DELAY_NS_MAX: usize = 2_000_000;

/// Starts before which the time of all held events has come.
const LATE_STARTS_PERCENT: usize = 25;

/// The fail point that only an orderly end reaches.
const AT_THE_END: &str = "writer-ending";

const SIGKILL: i32 = 9;

/// How a life ends.
#[derive(Debug, Clone, Copy)]
enum End<'a> {
    /// From outside, at any moment.
    Anywhere,
    /// By itself, at this fail point.
    At(&'a str),
}

/// The server and all that is known of it.
pub(crate) struct World {
    /// The server; it runs between lives' checks and ends only.
    pub(crate) server: Server,
    /// What its clients know.
    pub(crate) ledger: Arc<Ledger>,
    origin: Origin,
    mix: Mix,
    random: Random,
    earlier: Vec<Delivery>,
    /// Lives so far.
    pub(crate) kills: usize,
    starts_ns: Vec<u64>,
}

impl World {
    /// With a new database; choices follow from the seed.
    pub(crate) fn new(seed: u64, mix: Mix, database: &Database) -> Self {
        let ledger = Arc::new(Ledger::new(HOLD_MS));
        let origin = origin(Arc::clone(&ledger), seed);
        let mut random = Random::new(seed);
        let settings = settings_of(&origin.url(), mix, &mut random);
        let server = Server::prepare(&database.below(&settings));
        let (earlier, kills, starts_ns) = (Vec::new(), 0, Vec::new());
        Self { server, ledger, origin, mix, random, earlier, kills, starts_ns }
    }

    /// Starts the ordinary server, checks everything that earlier lives were told, has the clients
    /// work, and kills it at some moment.
    #[track_caller]
    pub(crate) fn live(&mut self) {
        self.start();
        self.work(End::Anywhere);
    }

    /// Starts the server that dies at the point, has the clients work until it has died there, and
    /// checks everything in another life.
    #[track_caller]
    pub(crate) fn die_at(&mut self, point: &str, passes: usize) {
        let armed = format!("{point}={passes}*off->return");
        let binary = server::binary_with_fail_points();
        match self.server.launch_patiently(&binary, &[("FAILPOINTS", &armed)]) {
            Ok(()) => self.work(End::At(&armed)),
            Err(status) => self.note_death(status, &armed),
        }
        self.live();
    }

    /// Starts the ordinary server and checks everything that earlier lives were told.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        if self.random.percent(LATE_STARTS_PERCENT) {
            eventually("all held events are due", || self.ledger.is_all_due());
        }
        let launched_ns = monotonic_ns();
        if let Err(status) = self.server.launch_patiently(&server::binary(), &[]) {
            panic!("not started after kill {}: {status}\n{}", self.kills, self.server.log());
        }
        self.ledger.note_start(launched_ns);
        self.verify();
        let took_ns = monotonic_ns() - launched_ns;
        let limit_ns = LIMIT.as_nanos() as u64;
        assert!(took_ns < limit_ns, "start and first answers took {took_ns} ns");
        self.starts_ns.push(took_ns);
    }

    /// Reads everything, and looks whether the next sequence is from a new epoch.
    #[track_caller]
    fn verify(&self) {
        let doors = self.doors();
        let mut memcached = Memcached::connect(&doors.memcached).expect("connect");
        let floors = self.ledger.floors();
        for place in Place::all() {
            let found = memcached.get(&doors.names.key(place)).expect("a reply");
            self.ledger.check(place, found.as_deref(), Sight::Fresh, &floors);
        }
        let before = self.ledger.last_sequence();
        let url = format!("{}/v1/invalidate", doors.api);
        let mut answer = None;
        eventually("an invalidation is durable", || {
            let given = http::post_json(&url, &json!({"tags": ["nobody's"]}));
            let is_durable = !is_refusal(&given);
            answer = is_durable.then_some(given);
            is_durable
        });
        let sequence = sequence_of(&answer.expect("an answer").json());
        self.ledger.note_sequence(sequence, before);
        assert!(sequence >> 40 > before >> 40, "the epoch of {sequence} is not above {before}'s");
    }

    /// Where the server listens.
    pub(crate) fn doors(&self) -> Doors {
        let names = Names { pages: format!("http://{}", self.server.address("pages")) };
        let memcached = self.server.address("memcached").to_owned();
        Doors { memcached, api: format!("http://{}", self.server.address("api")), names }
    }

    /// Has the clients work until the server ends.
    #[track_caller]
    fn work(&mut self, end: End<'_>) {
        let doors = self.doors();
        let ledger = Arc::clone(&self.ledger);
        let (progress, commands) = mpsc::channel();
        let mut earlier = vec![std::mem::take(&mut self.earlier)];
        earlier.resize_with(1 + MEMCACHED_CLIENTS, Vec::new);
        let clients = earlier.iter_mut().map(|earlier| Client {
            doors: &doors,
            ledger: &ledger,
            mix: self.mix,
            random: Random::new(self.random.next_u64()),
            progress: progress.clone(),
            earlier,
            delivered: Vec::new(),
        });
        let mut clients: Vec<Client<'_>> = clients.collect();
        drop(progress);
        std::thread::scope(|scope| {
            let http = clients.remove(0);
            scope.spawn(|| http.speak_http());
            for client in clients {
                scope.spawn(|| client.speak_memcached());
            }
            match end {
                End::Anywhere => self.kill_after(&commands),
                End::At(armed) => self.see_it_die(armed, &commands),
            }
        });
        self.earlier = earlier.swap_remove(0);
        self.ledger.note_crash();
    }

    /// Kills the server some commands, and then some microseconds, from now.
    fn kill_after(&mut self, commands: &Receiver<()>) {
        let count = 1 + self.random.below(COMMANDS_MAX);
        let delay_ns = self.random.below(DELAY_NS_MAX) as u64;
        // They end early if one of the clients has found something wrong.
        let done = commands.iter().take(count).count();
        let until_ns = monotonic_ns() + delay_ns;
        while monotonic_ns() < until_ns {
            std::hint::spin_loop();
        }
        if let Some(status) = self.server.ended() {
            panic!("ended by itself after {done} commands, {status}:\n{}", self.server.log());
        }
        self.server.kill();
        self.kills += 1;
    }

    /// Returns when the server has died at its fail point.
    fn see_it_die(&mut self, armed: &str, commands: &Receiver<()>) {
        if armed.starts_with(AT_THE_END) {
            let _ = commands.iter().take(1 + self.random.below(COMMANDS_MAX)).count();
            self.server.terminate();
        }
        let mut status = None;
        eventually_or_not(|| {
            status = self.server.ended();
            status.is_some()
        });
        match status {
            Some(status) => self.note_death(status, armed),
            None => {
                // The clients work until it is gone.
                self.server.kill();
                panic!("fail point {armed} was not reached");
            }
        }
    }

    #[track_caller]
    fn note_death(&mut self, status: ExitStatus, armed: &str) {
        assert_eq!(status.signal(), Some(SIGKILL), "{armed}: {status}\n{}", self.server.log());
        self.kills += 1;
        self.ledger.note_crash();
    }

    /// Kills the server, which nobody talks to.
    pub(crate) fn kill(&mut self) {
        self.server.kill();
        self.kills += 1;
        self.ledger.note_crash();
    }

    /// Looks whether there was anything that could have been wrong.
    #[track_caller]
    pub(crate) fn assert_it_was_no_empty_cache(&self) {
        let (reads, hits, acknowledged, refused) = self.ledger.counts();
        assert!(hits > reads / 4, "only {hits} of {reads} reads have found something");
        assert!(refused < acknowledged, "{refused} refused and {acknowledged} acknowledged");
    }

    /// Looks whether starts were quick.
    #[track_caller]
    pub(crate) fn assert_starts_were_quick(&self) {
        let mut starts_ns = self.starts_ns.clone();
        starts_ns.sort_unstable();
        let most_ns = starts_ns[(starts_ns.len() - 1) * 99 / 100];
        assert!(most_ns < START_NS_MAX, "one start in a hundred took {most_ns} ns or more");
        // A start waits until the database has noticed that the server before it is gone.
        let (starts, refused) = (starts_ns.len(), self.server.log().matches(LOCKED).count());
        assert!(refused < starts / 4, "the lock refused {refused} of {starts} starts");
    }

    /// What came of it, in a line.
    pub(crate) fn summary(&self) -> String {
        let (reads, hits, acknowledged, refused) = self.ledger.counts();
        format!(
            "{} kills, slowest start {} ms, {acknowledged} commands acknowledged and {refused} \
             refused, {hits} values in {reads} reads, {} renderings",
            self.kills,
            self.starts_ns.iter().max().map_or(0, |start_ns| start_ns / 1_000_000),
            self.origin.requests().len(),
        )
    }
}

fn settings_of(origin: &str, mix: Mix, random: &mut Random) -> String {
    let mut text = "memory = \"64MiB\"\n".to_owned();
    for door in ["memcached", "api", "pages"] {
        text += &format!("\n[{door}]\nlisten = \"127.0.0.1:{}\"\n", free_port(random));
    }
    text += &format!("\n[[sites]]\nname = \"shop\"\norigin = \"{origin}\"\n");
    text += &format!(
        "\n[[sources]]\nname = \"trekking\"\nverify = \"standard\"\nhold_ms = {HOLD_MS}\n\
         secrets = [\"{}\"]\n",
        settings::SECRET
    );
    if mix == Mix::WithValues {
        let plugin = server::guest("wasmcached_guest_hostile.wasm");
        text += "plugin = \"hostile\"\n\n[plugins.hostile]\n";
        text += &format!("file = \"{}\"\n", plugin.display());
    }
    text
}

fn free_port(random: &mut Random) -> usize {
    loop {
        let port = PORTS.start + random.below(PORTS.len());
        let address = ("127.0.0.1", port as u16);
        if TcpListener::bind(address).is_ok() {
            return port;
        }
    }
}

/// Pages with a number and tags of their own at each rendering.
fn origin(ledger: Arc<Ledger>, seed: u64) -> Origin {
    let random = Mutex::new(Random::new(!seed));
    Origin::start(move |request| {
        let page = request.target.rsplit('/').next().and_then(|page| page.parse().ok());
        let tags = random.lock().below(1 << TAGS) as TagSet;
        let number = ledger.render(page.expect("a page of the names"), tags);
        Response::cacheable(body_of(number, 500)).with("surrogate-key", &tag_names(tags, " "))
    })
}
