//! `silta demo`, run as a newcomer runs it.

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_silta")).arg("demo").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_case_crosses_four_organisations_and_every_step_holds_again_and_again_on_one_state() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    for run in ["first", "second"] {
        let output = demo(&["--exit", "--port", "0", "--state", state]);
        let (told, errors) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{run} run:\n{told}\n{errors}");
        for step in 1..=6 {
            let ok = told.lines().any(|line| line.starts_with(&format!("step {step} ok ")) && line.ends_with(" ms"));
            assert!(ok, "{run} run, step {step}:\n{told}");
        }
        let ready: Vec<&str> = told.lines().filter(|line| line.starts_with("ready ")).collect();
        let [ready] = ready.as_slice() else { panic!("{run} run has not one ready line:\n{told}") };
        assert!(ready.starts_with("ready https://localhost:"), "{ready}");
        assert!(ready.ends_with(&format!("ca={state}/ca.pem")), "{ready}");
        assert!(!told.contains('\x1b'), "what is no terminal gets plain text");
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_the_way_out() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = demo(&["--exit", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains(&format!("port {port}")) && errors.contains("--port 0"), "{errors}");
}
