//! Referrals a second: `REF^I12` over MLLP from fifty connections, each waiting for its acknowledgement, which comes after the
//! commit. Everything is in it: framing, parsing, translation, validation, workflow, journal, outbox, audit.
//!
//! `cargo bench --bench referrals [-- MESSAGES]`. The sender is a process of its own, so that the CPU time is the gateway's.
//! A virtual disk may sync in no time, so the run is also made with 2 ms added to every commit of a group.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on says so by panicking, and prints what it saw"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use silta::clock::Clock;
use silta::exchange::{Exchange, MessageHandler, Parts, mllp};
use silta::provider::{Random, Registry, Setup};
use silta::store::{self, DiskFailure, Faults, Store};
use silta_engine::definitions::Model;
use silta_engine::mapping::Maps;
use silta_engine::validation::Validator;

const CONNECTIONS: usize = 50;

const PROVIDERS: &str = r#"
[hospital]
mode = "test"
organisations = ["urn:oid:1.2.246.537.6.202|1.2.246.10.99999001.10.0"]
[hospital.map]
task = "ref-i12"
answers = true
time_zone = "Europe/Helsinki"
identifier_types = { NNFIN = "urn:oid:1.2.246.21" }
facilities = { ASIAKASOHJAUS = "urn:oid:1.2.246.537.6.202|1.2.246.10.99999002.10.0" }
[county]
mode = "test"
organisations = ["urn:oid:1.2.246.537.6.202|1.2.246.10.99999002.10.0"]
"#;

struct Slow(Duration);

impl Faults for Slow {
    fn at_commit(&self) -> Result<(), DiskFailure> {
        if !self.0.is_zero() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a slow disk is slow in real time, on the writer's own thread"
            )]
            std::thread::sleep(self.0);
        }
        Ok(())
    }
}

fn message(number: usize) -> Vec<u8> {
    let person = number % 5_000;
    format!(
        "\u{b}MSH|^~\\&|EPR|KESKUSSAIRAALA|SILTA|ASIAKASOHJAUS|20260302091400+0200||REF^I12^REF_I12|M{number}|T|2.5.1|||AL|AL||UNICODE UTF-8\r\
         RF1|P^Pending^HL70283|A^ASAP^HL70280|Hom^Home Care^HL70281|||REF-{number}^EPR^1.2.246.10.99999001.30.1^ISO|20260302||20260302091400+0200\r\
         PRD|RP|Lääkäri^Liisa||^^^KESKUSSAIRAALA&1.2.246.10.99999001.10.0&ISO\r\
         PID|1||P{person}^^^EPR&1.2.246.10.99999001.20.1&ISO^PI||Koivisto-Näyte^Aino^Maria||19470314|F|||Mäntytie 4^^Tampere^^33100^FIN||+358405550142\r\
         DG1|1||S72.0^Reisiluun kaulan murtuma^I10||20260227|A\r\
         OBR|1|||18842-5^Discharge summary^LN|||20260302\r\
         OBX|1|ED|18842-5^Discharge summary^LN||^application^pdf^Base64^{}||||||F\r\u{1c}\r",
        "JVBERi0xLjQK".repeat(80)
    )
    .into_bytes()
}

/// The sender's side: so many messages over each connection.
fn send(address: SocketAddr, messages: usize) {
    let each = messages / CONNECTIONS;
    let waits = std::sync::Mutex::new(Vec::with_capacity(messages));
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let waits = &waits;
            scope.spawn(move || {
                let mut own = Vec::with_capacity(each);
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 4096];
                for place in 0..each {
                    let message = message(connection * each + place);
                    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
                    let begun = Instant::now();
                    stream.write_all(&message).unwrap();
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"\x1c\r") {
                        let read = stream.read(&mut buffer).unwrap();
                        assert!(read > 0, "the gateway hung up");
                        answer.extend_from_slice(&buffer[..read]);
                    }
                    own.push(begun.elapsed());
                    let text = String::from_utf8_lossy(&answer);
                    assert!(text.contains("MSA|CA|"), "{text}");
                }
                waits.lock().unwrap().extend(own);
            });
        }
    });
    let mut waits = waits.into_inner().unwrap();
    waits.sort();
    println!("p50 {:.1?}  p99 {:.1?}", waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
}

/// CPU seconds of this process so far (user and system).
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn run(messages: usize, delay: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let config = store::Config { folder: folder.path().join("store"), ..store::Config::default() };
    let fill = |bytes: &mut [u8]| {
        bytes.fill(7);
        Ok(())
    };
    let store = Store::open(config, clock.clone(), &fill, Arc::new(Slow(delay))).unwrap();
    let prometheus = prometheus::Registry::new();
    let metrics = silta::provider::metrics::Metrics::register(&prometheus).unwrap();
    let setup = Setup {
        folder: folder.path(),
        clock: clock.clone(),
        random: Random::seeded(1),
        metrics: &metrics,
        schema: &|_| None,
    };
    let registry = Registry::build(&toml::from_str(PROVIDERS).unwrap(), &setup).unwrap_or_else(|e| panic!("{e:?}"));
    let parts = Parts {
        clock: clock.clone(),
        random: Random::seeded(2),
        store: store.clone(),
        registry: Arc::new(registry),
        maps: Arc::new(Maps::embedded(Model::r4())),
        validator: Arc::new(Validator::built_in()),
        secret: vec![1; 32],
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let exchange = Exchange::new(&silta::exchange::Config::default(), parts).unwrap();
        let config: mllp::Config = toml::from_str("provider = \"hospital\"\nlisten = \"127.0.0.1:0\"").unwrap();
        let counters = mllp::Metrics::register(&prometheus).unwrap();
        let listener = mllp::Listener::bind(config, folder.path(), clock.clone(), &counters).await.unwrap();
        let running = listener.start(Arc::new(MessageHandler::new(exchange)));
        let (started, used) = (clock.instant(), cpu());
        let sender = Command::new(std::env::current_exe().unwrap())
            .args(["send", &running.address().to_string(), &messages.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = tokio::task::spawn_blocking(move || sender.wait_with_output().unwrap()).await.unwrap();
        assert!(output.status.success());
        let (took, used) = (clock.instant().since(started).as_secs_f64(), cpu() - used);
        let groups = store.stats().await.unwrap().groups.max(1);
        #[expect(clippy::cast_precision_loss, reason = "a count of messages")]
        let count = messages as f64;
        println!(
            "{:>3} ms added to a commit: {:>6.0} messages/s acknowledged after commit, {:>4.0} µs CPU a message, {:.1} a group, {}",
            delay.as_millis(),
            count / took,
            used / count * 1e6,
            count / f64::from(u32::try_from(groups).unwrap()),
            String::from_utf8_lossy(&output.stdout).trim()
        );
        running.drain(clock.instant().after(Duration::from_secs(5))).await.unwrap();
    });
    runtime.block_on(store.close());
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "send") {
        send(arguments[2].parse().unwrap(), arguments[3].parse().unwrap());
        return;
    }
    let messages = arguments.iter().filter_map(|one| one.parse().ok()).next().unwrap_or(20_000);
    for delay in [0, 2] {
        run(messages, Duration::from_millis(delay));
    }
}
