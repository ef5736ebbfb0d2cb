//! The simulated account of a test, in this process, on a port of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use debridfs_sim::{
    AccountState, ApiFault, CdnFault, CdnFaultKind, FileSpec, Generated, Kind, LibrarySpec,
    LinkMode, Outage, OutageMode, Outcome, ReleaseSpec, ServeOptions, Served, Sim, TorrentView,
    serve,
};
use tokio::runtime::Runtime;

/// A release `name` that holds one film `name.mkv` of `bytes`.
pub fn film(name: &str, bytes: u64) -> ReleaseSpec {
    ReleaseSpec::new(
        name,
        vec![FileSpec::generated(format!("/{name}.mkv"), bytes)],
    )
}

/// A release `name` of three files, one of which has no link.
pub fn broken(name: &str) -> ReleaseSpec {
    let files = ["/one.mkv", "/two.mkv", "/three.mkv"];
    let files = files.map(|path| FileSpec::generated(path, 1 << 20));
    let mut release = ReleaseSpec::new(name, files.into());
    release.links = LinkMode::Missing(1);
    release
}

/// A simulated account that is being served.
pub struct Simulator {
    served: Served,
    // Dropped last: it drives the server.
    _runtime: Runtime,
}

impl Simulator {
    pub fn start(releases: Vec<ReleaseSpec>) -> Self {
        Self::with(&LibrarySpec {
            releases,
            ..LibrarySpec::default()
        })
    }

    /// As `start`, on an address that is not loopback.
    pub fn start_on(address: Ipv4Addr, releases: Vec<ReleaseSpec>) -> Self {
        let library = LibrarySpec {
            releases,
            ..LibrarySpec::default()
        };
        let options = ServeOptions {
            listen: SocketAddr::from((address, 0)),
            ..ServeOptions::default()
        };
        Self::serve(&library, options)
    }

    pub fn start_demo() -> Self {
        Self::with(&LibrarySpec::demo())
    }

    pub fn start_hostile() -> Self {
        Self::with(&LibrarySpec::hostile())
    }

    /// `releases` generated ones with `files` each; no limit of calls.
    pub fn start_generated(releases: u32, files: u32) -> Self {
        let options = Generated {
            releases,
            files_per_release: files,
            ..Generated::default()
        };
        let simulator = Self::with(&LibrarySpec::generated(&options));
        simulator.calls_per_minute(0);
        simulator
    }

    /// As `start`, with all that an account may hold.
    pub fn with(library: &LibrarySpec) -> Self {
        Self::serve(library, ServeOptions::default())
    }

    /// As `start`, of another vendor.
    pub fn of(kind: Kind, releases: Vec<ReleaseSpec>) -> Self {
        let library = LibrarySpec {
            releases,
            ..LibrarySpec::default()
        };
        Self::serve_of(kind, &library, ServeOptions::default())
    }

    fn serve(library: &LibrarySpec, options: ServeOptions) -> Self {
        Self::serve_of(Kind::RealDebrid, library, options)
    }

    fn serve_of(kind: Kind, library: &LibrarySpec, options: ServeOptions) -> Self {
        let runtime = super::server::runtime();
        let sim = Sim::of(kind, library).expect("a library");
        let served = runtime.block_on(serve(sim, options)).expect("a free port");
        Self {
            served,
            _runtime: runtime,
        }
    }

    pub fn sim(&self) -> &Sim {
        self.served.sim()
    }

    /// Where its API and its control interface are.
    pub fn address(&self) -> SocketAddr {
        self.served.addresses()[0]
    }

    /// The vendor, as `[provider.NAME] kind` calls it.
    pub fn kind(&self) -> &'static str {
        match self.sim().kind() {
            Kind::RealDebrid => "real-debrid",
            Kind::TorBox => "torbox",
            Kind::AllDebrid => "alldebrid",
            Kind::DebridLink => "debrid-link",
            Kind::Premiumize => "premiumize",
        }
    }

    pub fn api_url(&self) -> String {
        self.served.api_url()
    }

    pub fn token(&self) -> String {
        self.served.token()
    }

    fn torrents(&self) -> Vec<TorrentView> {
        self.sim().torrents(0).expect("account 0")
    }

    /// The base name and the content key of the generated file that is called so.
    pub fn file(&self, name: &str) -> (String, u64) {
        self.torrents()
            .iter()
            .flat_map(|torrent| &torrent.files)
            .find_map(|file| {
                let base = Path::new(&file.path).file_name()?.to_str()?;
                (base == name).then_some((base.to_owned(), file.key?))
            })
            .unwrap_or_else(|| panic!("no generated file {name}"))
    }

    /// Base names of the files that are real clips.
    pub fn clip_names(&self) -> Vec<String> {
        self.torrents()
            .iter()
            .flat_map(|torrent| &torrent.files)
            .filter(|file| file.clip.is_some())
            .filter_map(|file| Some(Path::new(&file.path).file_name()?.to_str()?.to_owned()))
            .collect()
    }

    /// Adds a release as if somebody had done so elsewhere; its torrent's id.
    pub fn add(&self, release: ReleaseSpec) -> String {
        self.sim()
            .add_release(0, &release)
            .expect("account 0")
            .remove(0)
    }

    /// Removes a torrent as if somebody had done so elsewhere.
    pub fn remove(&self, id: &str) {
        // It may be gone already in a round that is repeated.
        let _ = self.sim().remove_torrent(0, id);
    }

    /// Removes `count` torrents.
    pub fn remove_some(&self, count: usize) {
        for torrent in self.torrents().iter().take(count) {
            self.remove(&torrent.id);
        }
    }

    /// The id of the torrent of this name.
    pub fn id(&self, name: &str) -> String {
        let torrents = self.torrents();
        let torrent = torrents.iter().find(|torrent| torrent.filename == name);
        torrent
            .unwrap_or_else(|| panic!("no torrent {name}"))
            .id
            .clone()
    }

    /// Makes a release known to the provider, in its cache, without a torrent of it in the account.
    pub fn know(&self, hash: &str, name: &str, files: Vec<FileSpec>) {
        let release = ReleaseSpec {
            hash: Some(hash.to_owned()),
            copies: 0,
            ..ReleaseSpec::new(name, files)
        };
        self.sim().add_release(0, &release).expect("account 0");
    }

    /// Makes a release known that nobody has any more.
    pub fn know_dead(&self, hash: &str, name: &str) {
        let release = ReleaseSpec {
            hash: Some(hash.to_owned()),
            copies: 0,
            cached: false,
            outcome: Outcome::Dead,
            ..ReleaseSpec::new(name, vec![FileSpec::generated("/dead.mkv", 1 << 20)])
        };
        self.sim().add_release(0, &release).expect("account 0");
    }

    /// Bytes of bodies that the CDN has sent.
    pub fn bytes_sent(&self) -> u64 {
        self.sim().counters().cdn.bytes
    }

    /// Adds a release as it is described.
    pub fn add_spec(&self, release: ReleaseSpec) {
        self.sim().add_release(0, &release).expect("account 0");
    }

    /// Ids of the torrents of this name.
    pub fn ids(&self, name: &str) -> Vec<String> {
        let torrents = self.torrents().into_iter();
        let same = torrents.filter(|torrent| torrent.filename == name);
        same.map(|torrent| torrent.id).collect()
    }

    /// No link of the torrents of this name can be had: the vendor's `code`.
    pub fn break_links(&self, name: &str, code: i32) {
        for torrent in self.torrents() {
            for link in torrent.links.iter().filter(|_| torrent.filename == name) {
                let broken = self.sim().break_link(0, link, Some(code));
                broken.expect("a link");
            }
        }
    }

    /// The next magnet is not taken (code 29: the torrent is too big).
    pub fn refuse_next_magnet(&self) {
        self.api_fault(ApiFault {
            endpoint: Some("torrents/addMagnet".to_owned()),
            code: Some(29),
            times: Some(1),
            ..ApiFault::default()
        });
    }

    /// Whatever the provider has to download is there, or known to be dead, within a second.
    pub fn download_quickly(&self) {
        self.sim().configure(|settings| {
            settings.magnet_conversion_ms = 200;
            settings.queued_ms = 200;
            settings.downloading_ms = 200;
            settings.uploading_ms = 200;
        });
    }

    /// What the provider has to download takes it an hour.
    pub fn download_slowly(&self) {
        self.sim()
            .configure(|settings| settings.downloading_ms = 3_600_000);
    }

    /// The provider's clock goes on at once.
    pub fn advance(&self, by: Duration) {
        self.sim().advance(by);
    }

    /// Whatever hash is added next, the provider has it in its cache.
    pub fn know_unknown_hashes(&self) {
        self.sim()
            .configure(|settings| settings.unknown_hashes_cached = true);
    }

    /// How many torrents of `hash` the account holds.
    pub fn torrents_of(&self, hash: &str) -> usize {
        let torrents = self.torrents();
        torrents
            .iter()
            .filter(|torrent| torrent.hash == hash)
            .count()
    }

    pub fn calls(&self) -> u64 {
        self.sim().counters().calls
    }

    /// Calls of one endpoint, such as `torrents/info`.
    pub fn calls_of(&self, endpoint: &str) -> u64 {
        self.sim().counters().calls_of(endpoint)
    }

    /// Answers of one endpoint with this outcome, such as `200` or `503/floodDetected`.
    pub fn answers_of(&self, endpoint: &str, outcome: &str) -> u64 {
        let endpoints = self.sim().counters().endpoints;
        let outcomes = endpoints.get(endpoint);
        outcomes.map_or(0, |outcomes| outcomes.get(outcome).copied().unwrap_or(0))
    }

    /// Calls above the limit.
    pub fn refused(&self) -> u64 {
        self.sim().counters().above_limit
    }

    /// Calls so far by endpoint and outcome.
    pub fn all_calls(&self) -> String {
        format!("{:?}", self.sim().counters().endpoints)
    }

    /// Links made.
    pub fn unrestricted(&self) -> u64 {
        self.sim().counters().calls_of("unrestrict/link")
    }

    pub fn cdn_requests(&self) -> u64 {
        let cdn = self.sim().counters().cdn;
        cdn.heads + cdn.gets
    }

    pub fn cdn_connections(&self) -> u64 {
        self.sim().counters().cdn.connections.total
    }

    /// Requests for bytes since the start, those that were never answered included.
    pub fn transfers(&self) -> u64 {
        self.sim().counters().cdn.gets
    }

    pub fn calls_per_minute(&self, calls: u32) {
        self.sim()
            .configure(|settings| settings.calls_per_minute = calls);
    }

    /// Time to the first byte of the CDN's answers in milliseconds, and bytes a second of each of its connections.
    pub fn shape(&self, first_byte_ms: u32, connection_rate: u64) {
        self.sim().configure(|settings| {
            settings.first_byte_ms = first_byte_ms;
            settings.connection_rate = connection_rate;
        });
    }

    /// Another account, with nothing in it, whose token can make links.
    pub fn add_key(&self, token: &str) {
        let added = self.sim().add_account(token, &LibrarySpec::default());
        added.expect("an empty library");
    }

    /// Bytes that each account may fetch a day.
    pub fn traffic_cap(&self, bytes: u64) {
        self.sim()
            .configure(|settings| settings.traffic_cap = bytes);
    }

    pub fn fault(&self, fault: CdnFault) {
        self.sim().fail_cdn(fault);
    }

    pub fn api_fault(&self, fault: ApiFault) {
        self.sim().fail_api(fault);
    }

    /// The CDN takes requests and sends no byte.
    pub fn stall(&self) {
        self.fault(CdnFault::everywhere(CdnFaultKind::StallAfter { bytes: 0 }));
    }

    pub fn clear_faults(&self) {
        self.sim().clear_faults();
    }

    /// 503 for everything.
    pub fn outage(&self) {
        self.sim().set_outage(Outage {
            api: OutageMode::Unavailable,
            cdn: OutageMode::Unavailable,
        });
    }

    pub fn outage_over(&self) {
        self.sim().set_outage(Outage::default());
    }

    pub fn revoke(&self, revoked: bool) {
        let state = AccountState {
            revoked,
            ..self.sim().account(0).expect("account 0")
        };
        self.sim().set_account(0, state).expect("account 0");
    }
}
