//! A private etcd: one member or several, in temporary directories, on free ports of the loopback, and gone when it is
//! dropped.
//!
//! Knows little but the standard library, because the front door of the workspace starts one for all tests, too.

#![allow(dead_code, reason = "each user uses another part of it")]

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long members may take to start: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// What members that are there say of their health. One that has no room left can still be asked.
const IS_THERE: [&str; 2] = ["\"true\"", "NOSPACE"];

/// Names another program than the one that comes with the crate, such as one of an older version.
const PROGRAM: &str = "LARDER_ETCD_PROGRAM";

/// The setting of members to which one speaks TLS.
const SEALED: &str = "--client-cert-auth";

/// Running members; they end with the thread that started them at the latest.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    directory: PathBuf,
    settings: Vec<String>,
    members: Vec<Member>,
    /// Whether clients have to speak TLS.
    is_sealed: bool,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    running: Option<Child>,
}

/// The program of a member.
pub(crate) fn program() -> Result<PathBuf, String> {
    match env::var_os(PROGRAM) {
        Some(program) => Ok(program.into()),
        None => etcd_bin_vendored::etcd_bin_path().map(Path::to_owned).map_err(|error| error.to_string()),
    }
}

impl Server {
    /// Starts a cluster of one member.
    pub(crate) fn start() -> Result<Self, String> {
        Self::with(1, &[])
    }

    /// Starts a cluster of three.
    pub(crate) fn three() -> Result<Self, String> {
        Self::with(3, &[])
    }

    /// Starts a cluster of one member that proves who it is, by a certificate of its own making, and wants others to do so.
    pub(crate) fn sealed() -> Result<Self, String> {
        Self::with(1, &[SEALED])
    }

    /// Starts a cluster with these settings.
    pub(crate) fn with(members: usize, settings: &[&str]) -> Result<Self, String> {
        Self::start_in(&quick(), members, settings)
    }

    /// As [`Server::with`], in a new directory in `parent`.
    pub(crate) fn start_in(parent: &Path, members: usize, settings: &[&str]) -> Result<Self, String> {
        let mut why = String::new();
        for _ in 0..5 {
            let directory = directory(parent).map_err(|error| format!("there is no place for a server: {error}"))?;
            let is_sealed = settings.contains(&SEALED);
            let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
            let mut server = Self { program: program()?, directory, settings, members: Vec::new(), is_sealed };
            if is_sealed {
                server.prove()?;
            }
            for _ in 0..members {
                let [client, peer] = free_ports().map_err(|error| error.to_string())?;
                server.members.push(Member { client, peer, running: None });
            }
            match server.begin() {
                Ok(()) => return Ok(server),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn begin(&mut self) -> Result<(), String> {
        (0..self.members.len()).try_for_each(|member| self.spawn(member))?;
        (0..self.members.len()).try_for_each(|member| self.wait_for(member))
    }

    /// Where it is, for anybody.
    pub(crate) fn url(&self) -> String {
        let members: Vec<String> = self.ports().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("etcd://{}", members.join(","))
    }

    /// The certificate of a sealed member, or its key. Whoever has both may use them, too.
    pub(crate) fn proof(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{what}.pem"))
    }

    /// Makes what a sealed member proves itself with.
    fn prove(&mut self) -> Result<(), String> {
        let (certificate, key) = (self.proof("certificate"), self.proof("key"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
        command.args(["-subj", "/CN=larder", "-addext", "subjectAltName=IP:127.0.0.1"]);
        command
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-out")
            .arg(&certificate)
            .arg("-keyout")
            .arg(&key);
        let made = command.stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("openssl makes no certificate".to_owned());
        }
        let settings = [("--cert-file", &certificate), ("--key-file", &key), ("--trusted-ca-file", &certificate)];
        self.settings.extend(settings.map(|(name, file)| format!("{name}={}", file.display())));
        Ok(())
    }

    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.members.iter().map(|member| member.client)
    }

    /// Where the only member is.
    pub(crate) fn port(&self) -> u16 {
        self.members[0].client
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Which member leads the others, once there is one that does.
    pub(crate) fn leader(&self) -> usize {
        let begun = Instant::now();
        loop {
            for member in 0..self.members.len() {
                let Ok(told) = self.ask_member(member, "maintenance/status", "{}") else { continue };
                let (own, leader) = (field(&told, "member_id"), field(&told, "leader"));
                if own.is_some() && own == leader {
                    return member;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads");
            thread::yield_now();
        }
    }

    /// From the next start on this setting has another value.
    pub(crate) fn set(&mut self, setting: &str, value: &str) {
        self.settings.extend([setting.to_owned(), value.to_owned()]);
    }

    /// Says that there is room again.
    pub(crate) fn disarm(&self) {
        let armed = self.ask("maintenance/alarm", r#"{"action": "GET"}"#).expect("it answers");
        let member = field(&armed, "memberID").expect("there is an alarm");
        let question = format!(r#"{{"action": "DEACTIVATE", "memberID": "{member}", "alarm": "NOSPACE"}}"#);
        self.ask("maintenance/alarm", &question).expect("it answers");
    }

    /// Starts a member that has ended, on the same data and ports.
    pub(crate) fn again(&mut self, member: usize) -> Result<(), String> {
        self.spawn(member)?;
        self.wait_for(member)
    }

    /// As [`Server::again`], but does not wait until it is there.
    pub(crate) fn spawn(&mut self, member: usize) -> Result<(), String> {
        let log = fs::File::options().create(true).append(true).open(self.directory.join(format!("log-{member}")));
        let log = log.map_err(|error| error.to_string())?;
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let all: Vec<String> =
            self.members.iter().enumerate().map(|(number, member)| format!("m{number}={}", at(member.peer))).collect();
        let scheme = if self.is_sealed { "https" } else { "http" };
        let Member { client, peer, running } = &mut self.members[member];
        let clients = format!("{scheme}://127.0.0.1:{client}");
        let mut command = Command::new("setpriv");
        // Whatever ends us ends it.
        command.args(["--pdeathsig", "KILL"]).arg(&self.program);
        command.args(["--name", &format!("m{member}")]).arg("--data-dir").arg(self.directory.join(format!("data-{member}")));
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &at(*peer), "--initial-advertise-peer-urls", &at(*peer)]);
        command.args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"]).args(&self.settings);
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn();
        *running = Some(child.map_err(|error| format!("the server cannot be started: {error}"))?);
        Ok(())
    }

    fn wait_for(&mut self, member: usize) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE
            && self.members[member].running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
        {
            let is_there = match self.is_sealed {
                true => TcpStream::connect(("127.0.0.1", self.members[member].client)).is_ok(),
                false => self
                    .http(member, "GET", "/health", "")
                    .is_ok_and(|told| IS_THERE.iter().any(|words| told.contains(words))),
            };
            if is_there {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill(member);
        let log = fs::read_to_string(self.directory.join(format!("log-{member}"))).unwrap_or_default();
        Err(format!("the server does not start: {}", log.lines().last().unwrap_or_default()))
    }

    /// What the first member answers to a question in JSON, as in `kv/range`; bytes are in base64 there.
    pub(crate) fn ask(&self, what: &str, question: &str) -> std::io::Result<String> {
        self.ask_member(0, what, question)
    }

    /// Puts a key into the first member, past everybody.
    pub(crate) fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let question = format!(r#"{{"key": "{}", "value": "{}"}}"#, base64(key), base64(value));
        let told = self.ask("kv/put", &question).expect("it answers");
        assert!(told.contains("revision"), "{told}");
    }

    /// How many keys there are, and the latest revision.
    pub(crate) fn keys(&self) -> (String, String) {
        let told = self.ask("kv/range", r#"{"key": "AA==", "range_end": "AA==", "count_only": true}"#);
        let told = told.expect("it answers");
        (field(&told, "count").unwrap_or_default(), field(&told, "revision").unwrap_or_default())
    }

    pub(crate) fn ask_member(&self, member: usize, what: &str, question: &str) -> std::io::Result<String> {
        self.http(member, "POST", &format!("/v3/{what}"), question)
    }

    fn http(&self, member: usize, verb: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.members[member].client))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(stream, "{verb} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Sends a member a signal.
    pub(crate) fn signal(&self, member: usize, signal: &str) {
        if let Some(child) = &self.members[member].running {
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        }
    }

    /// Ends a member in an instant and without a word.
    pub(crate) fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|member| self.kill(member));
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What stands behind `name` in an answer, where it is a number; the server writes large ones as texts.
pub(crate) fn field(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("\"{name}\":"))?;
    Some(rest.trim_start_matches([' ', '"']).chars().take_while(char::is_ascii_digit).collect())
}

/// Bytes as they stand in questions and answers.
pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.as_ref().chunks(3) {
        let number = (0..3).fold(0_usize, |number, at| number << 8 | usize::from(three.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let has = digit <= three.len();
            text.push(if has { char::from(DIGITS[number >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text
}

fn directory(parent: &Path) -> std::io::Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("larder-etcd-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = parent.join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory)?;
    Ok(directory)
}

/// Where a server is quick: in memory, where the system has a place for files there, and room. To sync is still to sync, but
/// costs nothing.
fn quick() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if is_roomy(&memory) { memory } else { env::temp_dir() }
}

/// Whether a server may live there: it may be written to, and has room for some of them.
fn is_roomy(directory: &Path) -> bool {
    let mut room = Command::new("df");
    let room = room.args(["--output=avail", "--block-size=1M"]).arg(directory).output();
    let room = room.ok().and_then(|told| String::from_utf8(told.stdout).ok()?.lines().last()?.trim().parse::<u64>().ok());
    let probe = directory.join(format!("larder-{}", std::process::id()));
    let written = fs::File::create(&probe).and_then(|mut file| file.write_all(b"x"));
    let _ = fs::remove_file(&probe);
    written.is_ok() && room.is_some_and(|mebibytes| mebibytes >= 4096)
}

/// Two different ones.
fn free_ports() -> std::io::Result<[u16; 2]> {
    let listeners = [TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}
