//! What an operator is given: the service unit and the container file agree with the program.

use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

#[test]
fn the_service_unit_is_one_that_systemd_takes() {
    let unit = read("silta.service");
    let program = env!("CARGO_BIN_EXE_silta");
    assert_eq!(unit.matches("/usr/bin/silta ").count(), 2, "it is checked before it is started");
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("silta.service");
    std::fs::write(&here, unit.replace("/usr/bin/silta", program)).unwrap();
    let Ok(output) = Command::new("systemd-analyze").arg("verify").arg(&here).output() else {
        println!("skipped: systemd-analyze is not here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && told.trim().is_empty(), "{told}");
    let mut exposure = Command::new("systemd-analyze");
    exposure.args(["security", "--offline=yes", "--threshold=20"]).arg(&here);
    assert!(exposure.output().unwrap().status.success(), "its exposure is low");
}

#[test]
fn the_container_file_names_what_is_there() {
    let text = read("Containerfile");
    let (build, image) = text.rsplit_once("\nFROM ").map(|(build, rest)| (build, format!("FROM {rest}"))).unwrap();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    assert!(build.contains(&format!("/rust:{version}-")), "the image builds with the version that the project names");
    assert!(build.contains("--locked --profile dist --bin silta") && manifest.contains("[profile.dist]"));
    for line in image.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        let from = line.split_whitespace().nth(1).unwrap();
        assert!(root().join(from).exists(), "{line}");
    }
    let example = read("silta.toml");
    for port in image.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap().split_whitespace() {
        assert!(example.contains(&format!(":{port}\"")), "{port} is not a default of the configuration");
    }
    assert!(image.contains("STOPSIGNAL SIGTERM") && image.contains("\nUSER "), "it does not run as root");
    assert!(image.contains("ENTRYPOINT [\"/usr/bin/silta\"]") && image.contains("\"serve\", \"--config\""));
    // Nothing that was built outside goes into it.
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "target") && ignored.lines().any(|line| line == ".git"));
}
