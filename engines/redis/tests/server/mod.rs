//! A private Redis: in a temporary directory, on a free port of the loopback, and gone when it is dropped.
//!
//! Knows nothing but the standard library, because the front door of the workspace starts one for all tests, too.

#![allow(dead_code, reason = "each user uses another part of it")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The password of the only user. It is no secret, but whoever prints it is found by it.
pub(crate) const PASSWORD: &str = "hush-4711";

/// What a server needs to keep every promise.
pub(crate) const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// How long a server may take to start: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names the program has. Debian's `redis-tools` has it under the last one, and brings no service that is started.
const PROGRAMS: [&str; 3] = ["redis-server", "valkey-server", "redis-check-rdb"];

/// A running server; it ends with the thread that started it at the latest.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    directory: PathBuf,
    port: u16,
    settings: Vec<String>,
    running: Option<Child>,
}

/// The program of a server.
pub(crate) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let places = PROGRAMS.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    places.into_iter().find(|place| place.is_file())
}

impl Server {
    /// Starts a server that keeps every promise.
    pub(crate) fn start() -> Result<Self, String> {
        Self::with(DURABLE)
    }

    /// Starts a server with these settings.
    pub(crate) fn with(settings: &[&str]) -> Result<Self, String> {
        Self::start_in(&quick(), settings)
    }

    /// As [`Server::with`], in a new directory in `parent`.
    pub(crate) fn start_in(parent: &Path, settings: &[&str]) -> Result<Self, String> {
        let program = program().ok_or("Redis is not installed")?;
        let directory = directory(parent).map_err(|error| format!("there is no place for a server: {error}"))?;
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut server = Self { program, directory, port: 0, settings, running: None };
        let mut why = String::new();
        for _ in 0..5 {
            server.port = free_port().map_err(|error| error.to_string())?;
            match server.again() {
                Ok(()) => return Ok(server),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Where it is, for its only user.
    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From the next start on this setting has another value.
    pub(crate) fn set(&mut self, setting: &str, value: &str) {
        self.settings.extend([setting.to_owned(), value.to_owned()]);
    }

    /// Starts a server that has ended, on the same data and port.
    pub(crate) fn again(&mut self) -> Result<(), String> {
        let log = fs::File::options().create(true).append(true).open(self.directory.join("log"));
        let log = log.map_err(|error| error.to_string())?;
        let mut command = Command::new("setpriv");
        // Whatever ends us ends it. The name it is called by decides which of its programs it is.
        command.args(["--pdeathsig", "KILL", "bash", "-c", "exec -a redis-server \"$0\" \"$@\""]).arg(&self.program);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--daemonize", "no", "--requirepass", PASSWORD, "--masterauth", PASSWORD]);
        command.arg("--dir").arg(&self.directory).args(&self.settings);
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let child = command.spawn();
        self.running = Some(child.map_err(|error| format!("the server cannot be started: {error}"))?);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && self.running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            if self.ask("PING").is_ok_and(|answer| answer == "+PONG") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        Err(format!("the server does not start: {}", log.lines().last().unwrap_or_default()))
    }

    /// The first line that the server answers to a command without spaces in its words.
    pub(crate) fn ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "AUTH {PASSWORD}\r\n{command}\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        let login = lines.next().transpose()?;
        match lines.next().transpose()? {
            Some(answer) => Ok(answer),
            None => Err(std::io::Error::other(format!("no answer after {login:?}"))),
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        if let Some(child) = &self.running {
            let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        }
    }

    /// Ends it in an instant and without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn directory(parent: &Path) -> std::io::Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("larder-redis-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
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

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr().map(|address| address.port())
}
