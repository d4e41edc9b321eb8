//! The store as others see it, and what its handles share.

use crate::{
    Batch, Collection, Record,
    batch::path,
    directory::{self, Lock},
    envelope,
    journal::Step,
    record,
    recovery::recover,
    sealing::Sealer,
    state::{self, Claims, State},
    writer::{Command, Writer},
};
use std::{
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, oneshot};
use types::{
    AcmeAccount, Answer, ApiToken, App, Certificate, Deployment, DnsProvider, Doing, Domain, Environment, Error, Event, Network,
    NodeRecord, OrderLog, Organization, OwnAuthority, Project, Release, Result, Sealed, Secret, Session, Settings, SetupLink,
    SharedCertificate, User, Variable, Volume, World,
};

/// Batches that may wait for the writer before callers do.
const WAITING: usize = 1024;
/// Changes that a slow listener may lag behind.
const CHANGES: usize = 1024;

/// A record changed, came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// [`Record::TREE`]
    pub tree: &'static str,
    pub key: String,
}

/// Sizes that tests make small.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    /// A segment of the journal is closed when it has this many bytes.
    pub segment_bytes: u64,
    /// A snapshot is made after this much journal, or twice the last snapshot if that is more.
    pub snapshot_bytes: u64,
    /// With less than this left on the disk nothing is written: sled does not take a full disk well.
    pub reserve_bytes: u64,
    /// Sled has failed when a group of batches takes it longer.
    pub patience: Duration,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            segment_bytes: 4 << 20,
            snapshot_bytes: 8 << 20,
            reserve_bytes: 16 << 20,
            patience: Duration::from_secs(20),
        }
    }
}

/// What readers and the writer share.
pub(crate) struct Core {
    pub dir: PathBuf,
    pub changes: broadcast::Sender<Change>,
    /// `None` once closed. One that has failed stays for reading until another takes its place.
    state: RwLock<Option<Arc<State>>>,
    claims: RwLock<Claims>,
    mended: Mutex<Vec<String>>,
}

impl Core {
    pub fn read<T>(&self, work: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        work(state.as_deref().ok_or_else(|| Error::unavailable("the store is closed"))?)
    }
    pub fn claim(&self, claim: &str) -> Option<String> {
        self.claims.read().unwrap_or_else(PoisonError::into_inner).get(claim).cloned()
    }
    /// Who hold the claims that begin with `prefix`, in their order.
    pub fn claims_of(&self, prefix: &str) -> Vec<(String, String)> {
        let claims = self.claims.read().unwrap_or_else(PoisonError::into_inner);
        let from = claims.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let held = from.take_while(|(claim, _)| claim.starts_with(prefix));
        held.map(|(claim, holder)| (claim.clone(), holder.clone())).collect()
    }
    pub fn add_claims(&self, made: Claims) {
        self.claims.write().unwrap_or_else(PoisonError::into_inner).extend(made);
    }
    pub fn forget_claims(&self, gone: Claims) {
        state::forget(&mut self.claims.write().unwrap_or_else(PoisonError::into_inner), gone);
    }
    /// For the writer. Readers do not hold it beyond `read`, so that closing is done when it returns.
    pub fn state(&self) -> Result<Arc<State>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.clone().ok_or_else(|| Error::unavailable("the store is closed"))
    }
    pub fn install(&self, state: Arc<State>, claims: Claims, mended: Vec<String>) {
        *self.claims.write().unwrap_or_else(PoisonError::into_inner) = claims;
        let failed = self.state.write().unwrap_or_else(PoisonError::into_inner).replace(state);
        // Dropping sled after a failed write may never end.
        std::mem::forget(failed);
        self.mended.lock().unwrap_or_else(PoisonError::into_inner).extend(mended);
    }
    pub fn close(&self) {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(state) = state {
            state.close();
        }
    }
}

/// What all handles of a store share. When the last one goes, the writer ends and the directory is free.
pub(crate) struct Handle {
    pub core: Arc<Core>,
    sealer: Arc<Sealer>,
    world: World,
    inbox: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
}

impl Handle {
    pub async fn commit(&self, mut batch: Batch) -> Result<u64> {
        crate::effort::note(|effort| effort.batches += 1);
        batch.asker = batch.asker.or_else(crate::audit::current);
        self.ask(|reply| Command::Commit(batch, reply)).await?
    }
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T> {
        let closed = || Error::unavailable("the store is closed");
        let (reply, answer) = oneshot::channel();
        let inbox = self.inbox.as_ref().ok_or_else(closed)?;
        inbox.send(command(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.take();
        if let Some(writer) = self.writer.take() {
            // A panic there has been printed; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}

macro_rules! collections {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        /// All state of one panel. Clones share it.
        #[derive(Clone)]
        pub struct Store {
            $($(#[$doc])* pub $field: Collection<$type>,)*
            pub(crate) handle: Arc<Handle>,
        }

        impl Store {
            fn over(handle: Arc<Handle>) -> Store {
                Store {
                    $($field: Collection::new(&handle),)*
                    handle,
                }
            }
        }

        /// Brings every record up to the version that this binary writes; refuses newer ones.
        fn upgrades(state: &State) -> Result<Vec<Step>> {
            let mut steps = Vec::new();
            $(upgrades_of::<$type>(state, &mut steps)?;)*
            Ok(steps)
        }
    };
}

collections! {
    organizations: Organization,
    projects: Project,
    environments: Environment,
    /// Claim: the mail address.
    users: User,
    sessions: Session,
    /// By user.
    second_factors: types::SecondFactor,
    devices: types::Device,
    /// By user.
    known_countries: types::KnownCountries,
    /// Claim: the credential's id.
    passkeys: types::Passkey,
    /// The one, under [`crate::SECURITY_KEY`].
    security: types::Security,
    /// Claims: the hash, and that of the secret before.
    tokens: ApiToken,
    /// Claim: `<organization>/<name in small letters>`.
    identity_providers: types::IdentityProvider,
    /// By `<provider>/<subject>`. Claims: `user/<user>/<provider>/<subject>`, by which those of one person are found, and
    /// `login/<provider>/<name in small letters>/<subject>` of who signed in to a directory.
    external_identities: types::ExternalIdentity,
    /// By provider. Claims: the token's hash.
    provisionings: types::Provisioning,
    /// By `<provider>/<user>`. Claims: `<provider>/<user name>`, `user/<user>`.
    scim_users: types::ScimUser,
    /// By `<provider>/<id>`. Claims: `<provider>/<name>`.
    scim_groups: types::ScimGroup,
    /// Claims: the hash, and `<organization>/<mail address>`.
    invitations: types::Invitation,
    /// Claim: `<organization>/<name>`.
    roles: types::CustomRole,
    /// Claim: `<organization>/<name>`.
    teams: types::Team,
    /// Claim: what it grants to whom.
    grants: types::Grant,
    /// By `<organization>/<user>`, beside the one that a user record names.
    memberships: types::Membership,
    /// The one link, under [`crate::SETUP_KEY`].
    setup: SetupLink,
    /// Claim: `<environment>/<name>`, unless in the trash.
    apps: App,
    /// By `<owner>/<KEY>`.
    variables: Variable,
    /// By `<owner>/<KEY>/<id>`. Claim: the id.
    variable_versions: types::VariableVersion,
    /// Claim: the name.
    build_servers: types::BuildServer,
    /// Claim: `<organization>/<server>`.
    registries: types::Registry,
    /// Claim: `<organization>/<name in small letters>`.
    forges: types::ForgeConnection,
    /// By deployment.
    forge_reports: types::ForgeReport,
    /// Claim: `<organization>/<name>`.
    catalogs: types::Catalog,
    /// By catalog.
    catalog_texts: types::CatalogTexts,
    releases: Release,
    deployments: Deployment,
    /// By host.
    domains: Domain,
    /// By [`types::StreamPort`].
    streams: types::Stream,
    /// The one, under [`crate::EDGE_OPTIONS_KEY`].
    edge_options: types::EdgeOptions,
    /// The one, under [`crate::ALLOW_LISTS_KEY`].
    allow_lists: types::AllowLists,
    /// The one, under [`crate::API_LIMITS_KEY`].
    api_limits: types::ApiLimits,
    /// By host.
    certificates: Certificate,
    shared_certificates: SharedCertificate,
    /// By registered domain.
    order_logs: OrderLog,
    /// Claim: `<organization>/<name>`.
    dns_providers: DnsProvider,
    /// The one, under [`crate::AUTHORITY_KEY`].
    authority: OwnAuthority,
    /// By the directory's address.
    acme_accounts: AcmeAccount,
    /// By `<app>/<id>`. Claim: the id.
    uploads: types::Upload,
    /// By `<app>/<id>`. Claims: the id, `<app>/<name>`.
    app_jobs: types::AppJob,
    /// By `<app>/<id>`. Claim: the id.
    job_runs: types::JobRun,
    /// By `<app>/<id>`. Claim: the id.
    ci_trusts: types::CiTrust,
    /// By id.
    freezes: types::Freeze,
    /// By app.
    image_watches: types::ImageWatch,
    /// By project, else by organization.
    quotas: types::Quota,
    /// By organization.
    meters: types::Meter,
    /// By app. Claim: the key in its address.
    webhooks: types::Webhook,
    /// By `<app>/<id>`. Claims: the id, and the forge's own.
    deliveries: types::Delivery,
    /// By app.
    preview_rules: types::PreviewRules,
    /// By `<app>/<number>`. Claim: the environment that was made for it.
    previews: types::Preview,
    /// By id.
    clones: types::EnvironmentClone,
    /// Claim: `<environment>/<name>`.
    volumes: Volume,
    /// By environment. Claim: the subnet.
    networks: Network,
    nodes: NodeRecord,
    /// The one, under [`crate::SETTINGS_KEY`].
    settings: Settings,
    events: Event,
    /// The one, under [`crate::MAIL_KEY`].
    mail: types::MailServer,
    letters: types::Letter,
    /// By person. Claim: the hash of its word.
    password_resets: types::PasswordReset,
    /// The one, under [`crate::NOTICE_MARK_KEY`].
    notice_mark: types::NoticeMark,
    /// By [`Answer::key`].
    answers: Answer,
    /// By number, with zeros in front. Only the store itself writes it; see [`crate::acting`].
    audit: types::AuditEntry,
    audit_anchor: types::AuditAnchor,
}

pub(crate) fn upgrades_of<T: Record>(state: &State, steps: &mut Vec<Step>) -> Result<()> {
    state.prefix(&path::<T>(""), &mut |path, bytes| {
        let old = envelope::decode(path, bytes)?;
        if old.version > T::VERSION {
            return Err(record::newer::<T>(old.version));
        }
        if old.version < T::VERSION {
            let value: T = record::decode(old.version, old.json)?;
            let json = serde_json::to_vec(&value).doing(format!("upgrading a {}", T::KIND))?;
            let bytes = envelope::encode(path, T::VERSION, old.revision, &value.claims(), &json);
            steps.push(Step::Put {
                path: path.to_owned(),
                bytes,
            });
        }
        Ok(())
    })
}

impl Store {
    /// Opens the state in `dir`, making it if there is none, and mends it from journal and snapshots if it is broken.
    /// Blocks. Fails with `Busy` when another process has it (and says which), with `Unavailable` when a newer
    /// serverkit wrote it, the master key is missing or open to others, or it is beyond mending.
    pub fn open(dir: &Path, world: World) -> Result<Store> {
        Store::open_with(dir, world, Tuning::default(), upgrades)
    }

    pub(crate) fn open_with(dir: &Path, world: World, tuning: Tuning, upgrades: fn(&State) -> Result<Vec<Step>>) -> Result<Store> {
        let lock = directory::lock(dir)?;
        let sealer = Arc::new(directory::prepare(dir, &world)?);
        let core = Arc::new(Core {
            dir: dir.to_owned(),
            changes: broadcast::Sender::new(CHANGES),
            state: RwLock::new(None),
            claims: RwLock::default(),
            mended: Mutex::default(),
        });
        let writer = begin(&core, &sealer, lock, tuning, &world, upgrades)?;
        let (inbox, commands) = mpsc::channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run(commands))
            .doing("starting the store's writer")?;
        Ok(Store::over(Arc::new(Handle {
            core,
            sealer,
            world,
            inbox: Some(inbox),
            writer: Some(writer),
        })))
    }

    /// For disk: only this store, with its master key, opens it again.
    pub fn seal(&self, secret: &Secret) -> Result<Sealed> {
        self.handle.sealer.seal(secret, &self.handle.world)
    }
    /// Fails with `Internal` when it was sealed under another key or was changed.
    pub fn unseal(&self, sealed: &Sealed) -> Result<Secret> {
        self.handle.sealer.unseal(sealed)
    }
    /// Every change from now on, after it is on disk. A listener that lags too far is told so and reads anew.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.handle.core.changes.subscribe()
    }
    /// All of the batch or nothing, over any collections; returns once it is on disk. Fails with `Taken`, `Stale` or
    /// `NotFound` by its first step that does not hold, with `Unavailable` when the disk is full.
    pub async fn commit(&self, batch: Batch) -> Result<()> {
        self.handle.commit(batch).await.map(drop)
    }
    /// Cuts the entries of the audit log up to this one; the chain then hangs on an anchor. Answers how many went.
    pub async fn cut_audit(&self, through: u64) -> Result<u64> {
        self.handle.ask(|reply| Command::CutAudit(through, reply)).await?
    }
    /// Checks the chain of the audit log from end to end. `known` is an entry's number and hash as somebody noted them
    /// before. Blocks.
    pub fn verify_audit(&self, known: Option<(u64, &str)>) -> Result<types::AuditReport> {
        self.handle.core.read(|state| crate::audit::verify(state, known))
    }
    /// Writes all records to a new snapshot file; answers where.
    pub async fn snapshot(&self) -> Result<PathBuf> {
        self.handle.ask(Command::Snapshot).await?
    }
    /// Finishes what is under way and lets go of the directory. After it, everything fails with `Unavailable`.
    pub async fn close(&self) {
        // Closed already is closed.
        let _ = self.handle.ask(Command::Close).await;
    }
    /// What was damaged on disk and has been mended since the start, a sentence each.
    pub fn mended(&self) -> Vec<String> {
        self.handle.core.mended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.handle.core.dir
    }
}

fn begin(
    core: &Arc<Core>,
    sealer: &Arc<Sealer>,
    lock: Lock,
    tuning: Tuning,
    world: &World,
    upgrades: fn(&State) -> Result<Vec<Step>>,
) -> Result<Writer> {
    let recovered = recover(&core.dir, &tuning, world, None)?;
    let mut writer = Writer::new(core.clone(), sealer.clone(), recovered, lock, tuning, world.clone())?;
    let steps = core.read(upgrades)?;
    if !steps.is_empty() {
        tracing::info!("bringing {} records up to this version", steps.len());
        writer.put(steps)?;
    }
    Ok(writer)
}
