//! Everything that runs: the organisations' servers, the gateway between them, and the certificates they know each other
//! by.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::association::Association;
use super::case_manager::CaseManager;
use super::configuration::{self, Plan};
use super::county::County;
use super::events::Patience;
use super::home_care::HomeCare;
use super::hospital::Hospital;
use super::person::Person;
use super::story::Ran;
use super::web::{Server, Site};
use crate::access::authority::{Authority, AuthorityError};
use crate::access::secret::{SecretHash, secret};
use crate::clock::Clock;
use crate::command::serve::{Assembly, AssemblyError, Running};
use crate::config::{ConfigError, Loaded};
use crate::exchange::mllp;
use crate::gateway::StartError as GatewayError;
use crate::provider::{Random, SetupError};

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("port {0} of this machine is taken: choose another with --port N, or any free one with --port 0")]
    Taken(u16),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("an organisation's server cannot start: {0}")]
    Organisation(#[from] SetupError),
    #[error("an organisation's port cannot be opened: {0}")]
    Port(#[source] io::Error),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Gateway(#[from] AssemblyError),
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What the command line says.
pub(super) struct Options<'o> {
    pub(super) port: u16,
    pub(super) log: &'o str,
    pub(super) profiles: Option<&'o Path>,
}

/// Everything that runs.
pub(super) struct World {
    pub(super) folder: PathBuf,
    pub(super) patience: Patience,
    /// What this run's numbers hold.
    pub(super) run: String,
    pub(super) person: Person,
    pub(super) hospital: Arc<Hospital>,
    pub(super) county: Arc<County>,
    pub(super) home_care: Arc<HomeCare>,
    pub(super) association: Arc<Association>,
    pub(super) association_server: Server,
    pub(super) case_manager: CaseManager,
    gateway: Running,
    county_server: Server,
    hospital_listener: mllp::Running,
}

impl World {
    /// Starts the organisations, then the gateway, and lets them know of each other.
    pub(super) async fn start(folder: &Path, options: &Options<'_>, clock: Clock) -> Result<Self, StartError> {
        let Options { port, log, profiles } = *options;
        free(port).await?;
        let random = Random::seeded(u64::from_be_bytes(bytes()?));
        let run = letters(&random, 6);
        certificates(folder, &clock)?;
        let secrets = [bytes()?, bytes()?, bytes()?, bytes()?].map(secret);
        let [case_manager_secret, hook_secret, api_key, association_secret] = secrets;
        keep_secret(folder, "secrets/county.key", &api_key)?;
        keep_secret(folder, "secrets/association.key", &association_secret)?;

        let hospital = Arc::new(Hospital::new(folder, clock.clone(), format!("H{run}"))?);
        let hospital_listener = hospital.listen(folder).await?;
        let county = County::new(folder, clock.clone(), run.clone(), api_key, hook_secret.clone())?;
        let county_server = serve(folder, "county", Arc::clone(&county) as Arc<dyn Site>).await?;
        let association = Association::new(clock.clone(), association_secret);
        let association_server = serve(folder, "association", Arc::clone(&association) as Arc<dyn Site>).await?;
        let home_care_folder = folder.join("home-care");
        let home_care = HomeCare::new(&home_care_folder, clock.clone())
            .map_err(|error| StartError::File { path: home_care_folder, error })?;
        tokio::spawn(HomeCare::work(Arc::downgrade(&home_care)));

        let plan = Plan {
            port,
            log,
            profiles: profiles.map(std::path::absolute).transpose().map_err(StartError::Port)?,
            hospital: hospital_listener.address(),
            county: county_server.address,
            association: association_server.address,
            case_manager: hash(&case_manager_secret),
            county_hook: hash(&hook_secret),
        };
        let file = write(folder, "silta.toml", &configuration::text(&plan))?;
        let gateway =
            Assembly::new(Loaded::read(&file)?, clock.clone())?.start().await.map_err(|error| taken(error, port))?;
        let base = format!("https://localhost:{}", gateway.address.port());
        county.connect_to(&base);
        if let Some(address) = gateway.mllp.first() {
            hospital.connect_to(*address);
        }
        Ok(Self {
            person: Person::made_up(&random, clock.now()),
            case_manager: CaseManager::new(folder, base, case_manager_secret)?,
            folder: folder.to_owned(),
            patience: Patience(clock),
            run,
            hospital,
            county,
            home_care,
            association,
            association_server,
            gateway,
            county_server,
            hospital_listener,
        })
    }

    /// The gateway's address.
    pub(super) fn base(&self) -> &str {
        &self.case_manager.base
    }

    pub(super) fn now(&self) -> Timestamp {
        self.patience.0.now()
    }

    /// The ports of those that answer by themselves, for the reader.
    pub(super) fn ports(&self) -> [SocketAddr; 4] {
        [
            self.hospital_listener.address(),
            self.county_server.address,
            self.association_server.address,
            self.gateway.mllp.first().copied().unwrap_or(self.gateway.address),
        ]
    }

    /// Commands for the reader.
    pub(super) fn invitations(&self, ran: &Ran) -> Vec<String> {
        let ca = self.folder.join("ca.pem");
        let curl = format!("curl --cacert {} -H \"Authorization: Bearer {}\"", ca.display(), self.case_manager.secret);
        let (base, hetu) = (self.base(), &self.person.hetu);
        let mut lines = vec![
            "Try it, until Ctrl-C:".to_owned(),
            String::new(),
            "# what it offers".to_owned(),
            format!("curl --cacert {} {base}/metadata", ca.display()),
            String::new(),
            format!(
                "# the plans of {} {}, with the orders in them and their Tasks",
                self.person.given, self.person.family
            ),
            format!(
                "{curl} {base}/CarePlan/_search \\\n  --data-urlencode 'patient.identifier=urn:oid:1.2.246.21|{hetu}' \\\n  \
                 -d '_include=CarePlan:activity-reference' -d '_revinclude:iterate=Task:focus'"
            ),
        ];
        if let Some(plan) = &ran.plan {
            lines.extend([String::new(), "# the client plan, as XML".to_owned()]);
            lines.push(format!("{curl} -H 'Accept: application/fhir+xml' {base}/{plan}"));
        }
        lines.extend([
            String::new(),
            "# an HL7 v2 referral as FHIR, with where each part of it went; nothing is kept".to_owned(),
            format!(
                "{curl} -H 'Content-Type: x-application/hl7-v2+er7' \\\n  \
                 --data-binary $'MSH|^~\\\\&|EHR|HOSP|||20260101||REF^I12^REF_I12|1|P|2.5.1\\rRF1|P|R|PT^^L||Q|R1^HOSP\\r\
                 PRD|RT|Care^Home\\rPID|1||1^^^HOSP||Koivu^Aino\\r' \\\n  '{base}/$silta-convert'"
            ),
        ]);
        if let Some(admin) = self.gateway.admin {
            lines.extend([String::new(), "# what it counted".to_owned(), format!("curl http://{admin}/metrics")]);
        }
        lines
    }

    /// Stops the gateway, then the organisations.
    pub(super) async fn stop(self) {
        self.gateway.stop().await;
        self.county_server.stop().await;
        self.association_server.stop().await;
        let deadline = self.patience.0.instant().after(std::time::Duration::from_secs(1));
        // A connection that the gateway still held open is cut.
        let _ = self.hospital_listener.drain(deadline).await;
    }
}

/// The development authority, and a certificate for each server.
fn certificates(folder: &Path, clock: &Clock) -> Result<(), StartError> {
    let authority = Authority::open(folder, clock)?;
    for server in ["mllp", "hospital", "county", "association"] {
        authority.server(server, &[], clock)?;
    }
    authority.client("hospital-client", clock)?;
    Ok(())
}

async fn serve(folder: &Path, name: &str, site: Arc<dyn Site>) -> Result<Server, StartError> {
    let text = format!("certificate = \"{name}.pem\"\nkey = \"{name}.key\"\n");
    let tls: mllp::TlsConfig = toml::from_str(&text).map_err(|error| SetupError::new(name, error.to_string()))?;
    let acceptor = TlsAcceptor::from(Arc::new(tls.server(folder)?));
    Server::start(acceptor, site).await.map_err(StartError::Port)
}

/// Whether the port can be had, told before anything else is made for it.
async fn free(port: u16) -> Result<(), StartError> {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(StartError::Taken(port)),
        _ => Ok(()),
    }
}

fn taken(error: AssemblyError, port: u16) -> StartError {
    match error {
        AssemblyError::Start(GatewayError::Bind { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => {
            StartError::Taken(port)
        }
        other => other.into(),
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, StartError> {
    let path = folder.join(name);
    let failed = |error| StartError::File { path: path.clone(), error };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(&path, text).map_err(failed)?;
    Ok(path)
}

/// Writes what only this user may read.
fn keep_secret(folder: &Path, name: &str, text: &str) -> Result<(), StartError> {
    use std::os::unix::fs::PermissionsExt;
    let path = write(folder, name, "")?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| StartError::File { path: path.clone(), error })?;
    write(folder, name, text).map(drop)
}

fn bytes<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(bytes)
}

fn letters(random: &Random, count: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let one = || LETTERS.get(usize::try_from(random.below(32)).unwrap_or(0)).copied().map_or('A', char::from);
    (0..count).map(|_| one()).collect()
}

fn hash(secret: &str) -> String {
    SecretHash::of(secret).map(|hash| hash.text()).unwrap_or_default()
}
