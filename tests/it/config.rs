//! The configuration file: what is refused, what the example shows, what a running program does with it.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use silta::config::{Config, Loaded};

use crate::support::program::{HASH, Program, SECRET, configuration};
use crate::support::time::{soon, until};

fn error(text: &str) -> String {
    Loaded::parse(Path::new("etc/silta.toml"), text.to_owned()).unwrap_err().to_string()
}

#[test]
fn a_key_that_is_not_known_is_refused_with_its_place_and_the_nearest_one() {
    let text = error("[access]\nopen = true\n\n[server]\n  lisen = \"127.0.0.1:1\"\n");
    assert!(text.starts_with("etc/silta.toml:5:3: unknown key `lisen`; did you mean `listen`?"), "{text}");
    let text = error("acces = 1");
    assert!(text.starts_with("etc/silta.toml:1:1: unknown key `acces`; did you mean `access`?"), "{text}");
    let text = error("[access.caller.a]\nsecret_hsh = []");
    assert!(text.contains(":2:1: unknown key `secret_hsh`; did you mean `secret_hash`?"), "{text}");
    let text = error("[providers.x]\nmode = 'test'\n[providers.x.health]\ndedline = '1s'");
    assert!(text.contains(":4:1: unknown key `dedline`; did you mean `deadline`?"), "{text}");
    let text = error("[server]\nqqqqqqqq = 1");
    assert!(text.contains("unknown key `qqqqqqqq` (known here: listen, base_url,"), "{text}");
}

#[test]
fn a_value_that_cannot_be_meant_is_refused_with_its_place() {
    for (text, expected) in [
        ("[access\n", "etc/silta.toml:1:8: "),
        ("[access]\nopen = true\nopen = false", "etc/silta.toml:3:1: duplicate key"),
        ("[access]\nopen = 'yes'", "etc/silta.toml:2:8: invalid type: string \"yes\", expected a boolean"),
        (
            "[access]\nopen = true\n[server]\nrequest_time = 'soon'",
            "etc/silta.toml:4:16: `soon` is not a length of time",
        ),
        ("[access]\nopen = true\n[server]\nlisten = 'here'", "etc/silta.toml:4:10: invalid socket address"),
        ("[access]\nopen = true\n[server]\nlisten = '0.0.0.0:1'", "etc/silta.toml:2:1: access.open: "),
        (
            "[access]\nopen = true\n[server]\n# ä\nheaders = 0",
            "etc/silta.toml:5:1: server.headers: must be more than 0",
        ),
        (
            "[access]\nopen = true\n[server]\nbase_url = 'http://x'",
            "etc/silta.toml:4:1: server.base_url: expected an https URL",
        ),
        (
            "[access]\nopen = true\n[server]\nbodies_bytes = 1",
            "etc/silta.toml:4:1: server.bodies_bytes: must not be less",
        ),
        ("[access]\nopen = true\n[log]\nlevel = 'a=b=c'", "etc/silta.toml:4:1: log.level: "),
        (
            "[access.caller.a]\nsecret_hash = ['x']\ninteractions = ['*']",
            "etc/silta.toml:2:1: access.caller.a.secret_hash: ",
        ),
        ("state = 'x'", "etc/silta.toml:1:1: access: no caller is configured"),
    ] {
        let found = error(text);
        assert!(found.starts_with(expected), "{text:?} gave {found}");
    }
    let absent = Loaded::read(Path::new("/nowhere/silta.toml")).unwrap_err().to_string();
    assert!(absent.starts_with("/nowhere/silta.toml: cannot be read: "), "{absent}");
}

/// The example, its marks removed: `#? ` where examples count, `#` before a key where defaults are spelled out.
fn example(examples: bool, defaults: bool) -> String {
    let text = include_str!("../../deploy/silta.toml");
    let mut in_list = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = match line.strip_prefix("#? ") {
            Some(example) if examples => example,
            Some(_) => continue,
            None => line,
        };
        let spelled = line.strip_prefix('#').filter(|rest| {
            let key: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            in_list || (!key.is_empty() && rest[key.len()..].starts_with(" = "))
        });
        if let Some(spelled) = spelled {
            in_list = if in_list { spelled != "]" } else { spelled.ends_with('[') };
        }
        match spelled {
            Some(spelled) if defaults => lines.push(spelled),
            _ => lines.push(line),
        }
    }
    // The one thing that the example sets, so that it can be tried out as it is.
    let tried = lines.iter().position(|line| *line == "open = true").expect("the example can be tried out");
    lines[tried] = "open = false";
    lines.join("\n")
}

#[test]
fn the_defaults_in_the_example_are_those_in_the_code() {
    let read = |examples, defaults| -> Config {
        toml::from_str(&example(examples, defaults)).unwrap_or_else(|error| panic!("{}", error.message()))
    };
    assert_eq!(read(false, false), Config::default());
    assert_eq!(read(false, true), Config::default());
    assert_eq!(read(true, false), read(true, true));
    assert!(example(true, true).matches(" = ").count() > 120, "the marks were understood");
}

#[test]
fn the_example_has_every_key() {
    let whole: toml::Table = toml::from_str(&example(true, true)).unwrap();
    let mut checked = Vec::new();
    let mut missing = Vec::new();
    check_tables(&whole, &mut Vec::new(), &mut |path| {
        let mut spoiled = whole.clone();
        let table = table_at(&mut spoiled, path);
        let present: Vec<String> = table.keys().cloned().collect();
        table.insert("no_such_key".to_owned(), true.into());
        let Err(error) = Config::deserialize(toml::Value::Table(spoiled)) else { return };
        let message = error.message();
        if !message.starts_with("unknown field `no_such_key`") {
            return;
        }
        checked.push(path.join("."));
        let known = message.split('`').skip(1).step_by(2).skip(1);
        missing.extend(
            known.filter(|key| !present.iter().any(|p| p == key)).map(|key| format!("{}.{key}", path.join("."))),
        );
    });
    for table in ["", "server", "tls", "access", "admin", "log", "store", "providers.county.health", "mllp.0.tls"] {
        assert!(checked.iter().any(|path| path == table), "{table} was not checked: {checked:?}");
    }
    // Each provider is reached in one way, and each caller is known in one: together they show every key.
    let elsewhere = |key: &str| {
        let name = key.rsplit('.').next().unwrap();
        let depth = key.split('.').count();
        let family: Vec<&str> = key.split('.').take(1).collect();
        checked.iter().any(|path| {
            let mut table = whole.clone();
            let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
            path.starts_with(family[0])
                && steps.len() + 1 == depth
                && !path.is_empty()
                && table_at(&mut table, &steps).contains_key(name)
        })
    };
    missing.retain(|key| !elsewhere(key));
    assert!(missing.is_empty(), "the example lacks {missing:?}");
}

fn check_tables(table: &toml::Table, path: &mut Vec<String>, check: &mut impl FnMut(&[String])) {
    check(path);
    for (key, value) in table {
        path.push(key.clone());
        match value {
            toml::Value::Table(inner) => check_tables(inner, path, check),
            toml::Value::Array(items) => {
                if let Some(toml::Value::Table(inner)) = items.first() {
                    path.push("0".to_owned());
                    check_tables(inner, path, check);
                    path.pop();
                }
            }
            _ => {}
        }
        path.pop();
    }
}

fn table_at<'a>(table: &'a mut toml::Table, path: &[String]) -> &'a mut toml::Table {
    let Some((step, rest)) = path.split_first() else { return table };
    match table.get_mut(step).unwrap() {
        toml::Value::Table(inner) => table_at(inner, rest),
        toml::Value::Array(items) => table_at(items[0].as_table_mut().unwrap(), &rest[1..]),
        _ => panic!("{step} is no table"),
    }
}

#[tokio::test]
async fn the_example_starts_as_it_is_and_serves_whoever_is_on_this_machine() {
    let text = include_str!("../../deploy/silta.toml");
    // But for the ports, which another test may hold, and the form of the log.
    let mut text = text.to_owned();
    for (from, to) in [
        ("#listen = \"127.0.0.1:8443\"", "listen = \"127.0.0.1:0\""),
        ("#listen = \"127.0.0.1:9464\"", "listen = \"127.0.0.1:0\""),
        ("#format = \"text\"", "format = \"json\""),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    let mut program = Program::configured(&text);
    let url = program.url().await;
    let answer = soon(program.caller().get(format!("{url}/CarePlan/1")).send()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 404);
    assert_eq!(program.admin("/readyz").await, "store: ok\naccepting: ok\n");
}

#[tokio::test]
async fn a_running_program_takes_good_changes_refuses_bad_ones_and_stops_when_told() {
    let mut program = Program::start("");
    let url = program.url().await;
    let caller = program.caller();
    let status = async |secret: &str| {
        let request = caller.get(format!("{url}/CarePlan/1")).bearer_auth(secret);
        soon(request.send()).await.unwrap().status().as_u16()
    };
    assert_eq!(status(SECRET).await, 404, "known, and nothing is served");

    program.configure(&configuration("[server]\n"));
    program.says("the new configuration is refused, the old one stays in use").await;
    assert!(program.log().contains("silta.toml:10:"), "the place of the mistake is told: {}", program.log());
    assert_eq!(status(SECRET).await, 404, "the old one stays in use, on the connection that stands");

    let other = HASH.replace("fc23", "aaaa");
    program.configure(&configuration("").replace(HASH, &other));
    program.says("configuration and certificates read again").await;
    assert_eq!(status(SECRET).await, 401, "the secret is nobody's any more, on the connection that stands");

    program.configure(&configuration(""));
    program.signal("HUP");
    program.has_said("configuration and certificates read again", 2).await;
    assert_eq!(status(SECRET).await, 404);

    program.configure(&configuration("").replace("'json'", "'text'"));
    program.says("these keys are read at start only and keep their values").await;

    let metrics = program.admin("/metrics").await;
    assert!(metrics.contains("silta_reloads_total{result=\"refused\"} 1"), "{metrics}");
    assert!(metrics.contains("silta_reloads_total{result=\"taken\"} "), "{metrics}");
    assert!(metrics.contains("silta_store_open 1") && metrics.contains("silta_log_lines_dropped_total 0"), "{metrics}");
    assert_eq!(program.admin("/readyz").await, "store: ok\naccepting: ok\n");

    let told = format!("{url}/CarePlan/010190-900X?patient.identifier=urn:oid:1.2.246.21%7C010190-900X");
    let refused = soon(caller.get(told).bearer_auth(SECRET).header("x-request-id", "010190-900X").send()).await;
    assert_eq!(refused.unwrap().status().as_u16(), 400);

    program.signal("TERM");
    let mut code = None;
    until("it has ended", || {
        code = program.child.try_wait().unwrap();
        code.is_some()
    })
    .await;
    assert_eq!(code.unwrap().code(), Some(0));
    assert!(program.log().contains("\"stopped\""));
    let log = program.log();
    assert_eq!(log.matches("\"answered\"").count(), 5);
    assert!(!log.contains("010190") && !log.contains(SECRET), "neither persons nor secrets stand in the log: {log}");
    for line in program.log().lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        if json["message"] == "answered" {
            assert!(json["span"]["id"].as_str().is_some_and(|id| !id.is_empty()), "the request's id: {line}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_used_for_new_connections() {
    let authority = crate::support::tls::Authority::new();
    let (one, two) = (authority.issue("one"), authority.issue("two"));
    let folder = tempfile::tempdir().unwrap();
    let copy = |issued: &crate::support::tls::Issued| {
        for (from, to) in [(&issued.certificate, "server.pem"), (&issued.key, "server.key")] {
            std::fs::copy(authority.folder().join(from), folder.path().join(to)).unwrap();
        }
    };
    copy(&one);
    let (pem, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    let mut program = Program::start(&format!("[tls]\ncertificate = '{}'\nkey = '{}'", pem.display(), key.display()));
    let url = program.url().await;
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let shown = async || {
        let connector = tokio_rustls::TlsConnector::from(authority.client(None));
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = soon(connector.connect(name, stream)).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        use sha2::Digest;
        sha2::Sha256::digest(shown).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(shown().await, one.fingerprint);
    std::fs::copy(authority.folder().join(&two.certificate), &pem).unwrap();
    program.says("the new configuration is refused, the old one stays in use").await;
    assert_eq!(shown().await, one.fingerprint, "a certificate without its key is not used");
    std::fs::copy(authority.folder().join(&two.key), &key).unwrap();
    program.says("configuration and certificates read again").await;
    assert_eq!(shown().await, two.fingerprint);
}

#[test]
fn the_command_line_tells_done_from_failed_from_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_silta")).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let good = folder.path().join("good.toml");
    std::fs::write(&good, configuration("")).unwrap();
    let (code, out, _) = run(&["serve", "--check", "--config", good.to_str().unwrap()]);
    assert_eq!((code, out.ends_with("good.toml: good\n")), (0, true));
    assert!(!folder.path().join("state").exists(), "checking makes nothing");
    let bad = folder.path().join("bad.toml");
    for (more, expected) in [
        ("[exchange]\nrealm = 'atlantis'", "exchange.realm: no profiles are of the realm atlantis"),
        (
            "[providers.x]\nmode = 'test'\n[providers.x.fhir]\nbase = 'http://127.0.0.1/'\ntypes = { CarePlam = {} }",
            "providers.x: `CarePlam` is not a resource type of FHIR R4",
        ),
        (
            "[providers.x]\nmode = 'test'\n[providers.x.map]\ntask = 'none'",
            "providers.x.map: there is no map named none",
        ),
        (
            "[[collect]]\nprovider = 'x'\nfolder = '.'\nname = 'a'\ndone = '.'\nset_aside = '.'",
            "collect.0.provider: there is no [providers.x]",
        ),
    ] {
        std::fs::write(&bad, configuration(more)).unwrap();
        let (code, out, error) = run(&["serve", "--check", "--config", bad.to_str().unwrap()]);
        assert_eq!((code, &*out), (2, ""), "{more}");
        assert!(error.contains(expected), "{error}");
    }
    std::fs::write(&bad, configuration("[acess]")).unwrap();
    for arguments in [&["serve", "--check", "--config"][..], &["serve", "--config"]] {
        let arguments: Vec<&str> = arguments.iter().copied().chain([bad.to_str().unwrap()]).collect();
        let (code, out, error) = run(&arguments);
        assert_eq!((code, &*out), (2, ""));
        assert!(error.contains("bad.toml:10:2: unknown key `acess`; did you mean `access`?"), "{error}");
    }
    assert_eq!(run(&["serve"]).0, 2);
    assert_eq!(run(&["nonsense"]).0, 2);
    assert_eq!(run(&[]).0, 2);
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    for command in out.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty()) {
        let (code, help, _) = run(&[command.split_whitespace().next().unwrap(), "--help"]);
        assert!(code == 0 && help.contains("Example"), "{command} shows an example");
    }
    let (code, out, _) = run(&["secret"]);
    let mut lines = out.lines().map(|line| line.split_whitespace().nth(1).unwrap());
    let (secret, hash) = (lines.next().unwrap(), lines.next().unwrap());
    assert_eq!((code, silta::access::secret::SecretHash::of(secret).unwrap().text()), (0, hash.to_owned()));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    std::fs::write(&good, configuration("").replacen("127.0.0.1:0", &address.to_string(), 1)).unwrap();
    let (code, _, error) = run(&["serve", "--config", good.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
}
