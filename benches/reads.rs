//! A read that hits the cache, over TLS, against nginx serving the same bytes over TLS with the same certificate: CPU a
//! request, requests a second and latency, in one run, by turns, with the same client. The gateway is the real program; it
//! also authenticates, authorises and audits each read, durably, before it answers.
//!
//! `cargo bench --bench reads [-- SECONDS]`. Needs nginx and wrk (Debian: `apt-get install nginx-light wrk`). Where `perf`
//! is asked for by `PROFILE=FILE`, the first turn is recorded into that file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on says so by panicking, and prints what it saw"
)]

mod site;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use site::{Gateway, HETU, Provider, code, cpu_of, key_of};

const CONNECTIONS: &str = "-c16";
const TURNS: usize = 3;

fn main() {
    let seconds = std::env::args().filter_map(|one| one.parse().ok()).next().unwrap_or(4_u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (gateway, url, body) = runtime.block_on(prepare());
    let www = tempfile::tempdir().unwrap();
    std::fs::write(www.path().join("plan.json"), &body).unwrap();
    let nginx = Nginx::start(www.path(), &gateway);
    println!("{} bytes, 16 connections, {TURNS} turns of {seconds} s each", body.len());
    let bearer = format!("Authorization: Bearer {}", gateway.secret);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let profile = std::env::var("PROFILE").ok().filter(|_| turn == 0);
        ours.push(load("silta", seconds, &url, &bearer, &|| gateway.cpu(), profile.map(|file| (gateway.id(), file))));
        theirs.push(load("nginx", seconds, &nginx.url, &bearer, &|| nginx.cpu(), None));
    }
    let best = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = |all: &[f64]| all.iter().sum::<f64>() / f64::from(u32::try_from(all.len()).unwrap());
    println!(
        "CPU a request: {:.1} µs against {:.1} µs, {:.1} times; the best turns {:.1} µs against {:.1} µs, {:.1} times",
        mean(&ours),
        mean(&theirs),
        mean(&ours) / mean(&theirs),
        best(&ours),
        best(&theirs),
        best(&ours) / best(&theirs)
    );
}

/// A gateway that has been asked for a person's plan, the plan's address, and its bytes.
async fn prepare() -> (Gateway, String, Vec<u8>) {
    let provider = Provider::start("association", Duration::ZERO).await;
    let gateway = Gateway::start(std::slice::from_ref(&provider));
    let person = code(7);
    gateway.admit(&person);
    let caller = gateway.caller();
    let search = caller.post(gateway.url("CarePlan/_search"));
    let search = search.header("content-type", "application/x-www-form-urlencoded");
    let found = search.body(format!("patient.identifier={HETU}%7C{person}")).send().await.unwrap();
    assert!(found.text().await.unwrap().contains("plan-"), "the plan is found");
    let url = gateway.url(&format!("CarePlan/association.plan-{}", key_of(&person)));
    let first = caller.get(&url).send().await.unwrap();
    assert_eq!(first.status(), 200);
    let second = caller.get(&url).send().await.unwrap();
    assert!(second.headers().contains_key("age"), "it is given from the cache");
    (gateway, url, second.bytes().await.unwrap().to_vec())
}

struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    url: String,
}

impl Nginx {
    fn start(www: &Path, gateway: &Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "user root; worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}; proxy_temp_path {folder};\n\
             fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n\
             server {{ listen {address} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; root {www};\n\
             types {{ application/fhir+json json; }} }} }}\n",
            folder = folder.path().display(),
            certificate = gateway.state("server.pem").display(),
            key = gateway.state("server.key").display(),
            www = www.display(),
        );
        std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed");
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self { child, url: format!("https://127.0.0.1:{}/plan.json", address.port()), folder }
    }

    /// CPU seconds of the processes that serve.
    fn cpu(&self) -> f64 {
        let task = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{task}/task/{task}/children")).unwrap();
        children.split_whitespace().map(|child| cpu_of(child.parse().unwrap())).sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it when it is asked, not when it is killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Requests for some seconds: CPU microseconds a request, as `cpu` tells it.
fn load(
    name: &str,
    seconds: u64,
    url: &str,
    bearer: &str,
    cpu: &dyn Fn() -> f64,
    profile: Option<(u32, String)>,
) -> f64 {
    let before = cpu();
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", CONNECTIONS, "--latency", &format!("-d{seconds}s"), "-H", bearer, url]);
    let wrk = wrk.stdout(Stdio::piped()).spawn().expect("wrk is installed");
    if let Some((process, file)) = profile {
        let mut perf = Command::new("perf");
        perf.args(["record", "-o", &file, "-F", "299", "--call-graph", "dwarf,8192", "-p", &process.to_string()]);
        perf.args(["--", "sleep", &seconds.saturating_sub(1).to_string()]).stderr(Stdio::null()).stdout(Stdio::null());
        perf.status().unwrap();
    }
    let output = wrk.wait_with_output().unwrap();
    let used = cpu() - before;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{text}");
    let after = |start: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default();
        line.split_whitespace().nth(1).unwrap_or("?").to_owned()
    };
    let line = text.lines().find(|line| line.contains(" requests in ")).unwrap();
    let requests: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    let each = used / requests * 1e6;
    let a_second = after("Requests/sec:");
    println!("{name}  {each:5.1} µs CPU a request  {a_second} a second  p50 {}  p99 {}", after("50%"), after("99%"));
    each
}
