//! A private PostgreSQL: made in a temporary directory, on a free port of the loopback, and gone when it is dropped.
//!
//! Knows nothing but the standard library, because the front door of the workspace starts one for all tests, too.

#![allow(dead_code, reason = "each user uses another part of it")]

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Where Debian keeps the programs of every version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The password of the only user. It is no secret, but whoever prints it is found by it.
pub(crate) const PASSWORD: &str = "hush-4711";

/// How long a server may take to start: a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it ends with the thread that started it at the latest.
#[derive(Debug)]
pub(crate) struct Server {
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    directory: PathBuf,
    port: u16,
    /// What it is told beside what every server is told.
    settings: Vec<String>,
    running: Option<Child>,
}

/// The directory of the programs `initdb` and `postgres`, the newest where there are several.
pub(crate) fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    found.extend(versions.into_iter().map(|(_, path)| path));
    found.into_iter().find(|path| ["initdb", "postgres", "pg_isready"].iter().all(|program| path.join(program).is_file()))
}

impl Server {
    /// Makes a server and starts it.
    pub(crate) fn start() -> Result<Self, String> {
        Self::start_in(&quick())
    }

    /// The same, in a new directory in `parent`.
    pub(crate) fn start_in(parent: &Path) -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL is not installed")?;
        let directory = directory(parent).map_err(|error| format!("there is no place for a server: {error}"))?;
        let server = Self { programs, owner: owner()?, directory, port: 0, settings: Vec::new(), running: None };
        server.prepare()?;
        server.on_a_free_port()
    }

    fn on_a_free_port(mut self) -> Result<Self, String> {
        let taken = (0..5).find_map(|_| {
            self.port = free_port().ok()?;
            self.again().ok()
        });
        taken.map(|()| self).ok_or_else(|| "the server does not start".to_owned())
    }

    /// Makes a standby, which follows this server under `name` until it is promoted.
    pub(crate) fn standby(&self, name: &str) -> Result<Self, String> {
        let directory = directory(&quick()).map_err(|error| format!("there is no place for a server: {error}"))?;
        if let Some((user, group)) = self.owner {
            chown(&directory, Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
        let (programs, owner) = (self.programs.clone(), self.owner);
        let settings = vec!["hot_standby=on".to_owned()];
        let standby = Self { programs, owner, directory, port: 0, settings, running: None };
        let primary = format!("host=127.0.0.1 port={} user=larder password={PASSWORD} application_name={name}", self.port);
        let mut command = standby.command("pg_basebackup");
        command.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync", "--dbname"]);
        command.arg(primary).arg("--pgdata").arg(standby.data());
        let made = command.output().map_err(|error| format!("pg_basebackup cannot be started: {error}"))?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned());
        }
        standby.on_a_free_port()
    }

    /// From here on acknowledges nothing that the standby `name` does not have; waits until that is so.
    pub(crate) fn wait_for(&self, name: &str) -> Result<(), String> {
        self.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"))?;
        self.run("SELECT pg_reload_conf()")?;
        let begun = Instant::now();
        while self.run("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")?.is_empty() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the standby {name} does not come"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it answers to `sql`.
    fn run(&self, sql: &str) -> Result<String, String> {
        let mut command = self.command("psql");
        command.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--command", sql, &self.url()]);
        let done = command.output().map_err(|error| format!("psql cannot be started: {error}"))?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Makes a standby the server that takes writes; waits until it is.
    pub(crate) fn promote(&self) -> Result<(), String> {
        let mut command = self.command("pg_ctl");
        command.args(["promote", "--wait", "--silent", "--pgdata"]).arg(self.data());
        let done = command.output().map_err(|error| format!("pg_ctl cannot be started: {error}"))?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    /// Writes a file into its data that nobody else can read; where it is.
    pub(crate) fn keep(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.data().join(name);
        let kept = fs::write(&path, bytes)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)))
            .and_then(|()| self.owner.map_or(Ok(()), |(user, group)| chown(&path, Some(user), Some(group))));
        kept.map(|()| path).map_err(|error| format!("a file for the server: {error}"))
    }

    /// The port on which it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stands still from here on, with everything that belongs to it.
    pub(crate) fn freeze(&self) -> Result<(), String> {
        self.signal("STOP")
    }

    /// Goes on.
    pub(crate) fn thaw(&self) -> Result<(), String> {
        self.signal("CONT")
    }

    /// Sends a signal to the server and its own children: the server first, so that no child comes after it.
    fn signal(&self, name: &str) -> Result<(), String> {
        let server = self.running.as_ref().ok_or("the server does not run")?.id().to_string();
        let send = |process: &str| {
            let sent = Command::new("kill").args([&format!("-{name}"), process]).status();
            if sent.is_ok_and(|status| status.success()) { Ok(()) } else { Err("a signal cannot be sent".to_owned()) }
        };
        send(&server)?;
        let all = Command::new("ps").args(["-A", "-o", "ppid=", "-o", "pid="]).output();
        let all = all.map_err(|error| format!("the processes cannot be seen: {error}"))?.stdout;
        for line in String::from_utf8_lossy(&all).lines() {
            if let Some((parent, process)) = line.trim().split_once(' ')
                && parent == server
            {
                // It may have ended by itself.
                let _ = send(process.trim());
            }
        }
        Ok(())
    }

    /// Its only database, for its only user.
    pub(crate) fn url(&self) -> String {
        format!("postgres://larder:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    fn prepare(&self) -> Result<(), String> {
        let password = self.directory.join("password");
        fs::write(&password, PASSWORD).map_err(|error| error.to_string())?;
        if let Some((user, group)) = self.owner {
            let owned = [&self.directory, &password].into_iter().try_for_each(|path| chown(path, Some(user), Some(group)));
            owned.map_err(|error| error.to_string())?;
        }
        let mut command = self.command("initdb");
        command.args(["--auth=scram-sha-256", "--username=larder", "--encoding=UTF8", "--no-instructions", "--no-sync"]);
        command.arg("--pwfile").arg(&password).arg("--pgdata").arg(self.data());
        // An order that is not bytewise, so that it shows where one was relied on that is.
        if self.version() >= 15 {
            command.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]);
        } else {
            command.arg("--locale=C.UTF-8");
        }
        let made = command.output().map_err(|error| format!("initdb cannot be started: {error}"))?;
        if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
    }

    fn version(&self) -> u32 {
        let said = Command::new(self.programs.join("initdb")).arg("--version").output().map(|output| output.stdout);
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        let number = said.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
        number.unwrap_or(0)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// A program of the server, run by somebody who is not root, which it refuses.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        // Whatever ends us ends it.
        command.args(["--pdeathsig", "INT"]);
        if let Some((user, group)) = self.owner {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
        }
        command.arg(self.programs.join(program)).current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// Starts a server that has ended, on the same data and port.
    pub(crate) fn again(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let log = fs::File::options().create(true).append(true).open(self.directory.join("log"));
            let log = log.map_err(|error| error.to_string())?;
            let mut command = self.command("postgres");
            let socket = format!("unix_socket_directories={}", self.directory.display());
            command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string()).args(["-c", &socket]);
            command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=1000"]);
            for setting in &self.settings {
                command.args(["-c", setting]);
            }
            let child = command.stdout(Stdio::null()).stderr(log).spawn();
            self.running = Some(child.map_err(|error| format!("the server cannot be started: {error}"))?);
            if self.is_ready(begun) {
                return Ok(());
            }
            // What is left of one that was killed may still be in its way.
            self.kill();
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        Err(format!("the server does not start: {}", log.lines().last().unwrap_or_default()))
    }

    /// Waits until it takes connections or ends.
    fn is_ready(&mut self, begun: Instant) -> bool {
        let port = self.port.to_string();
        loop {
            if self.running.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) || begun.elapsed() > PATIENCE
            {
                return false;
            }
            let mut ask = Command::new(self.programs.join("pg_isready"));
            ask.args(["--quiet", "--host=127.0.0.1", "--port", &port, "--username=larder"]);
            if ask.status().is_ok_and(|status| status.success()) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in an instant and without a word, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            // It takes its own children with it, which a killed one leaves to notice by themselves.
            let _ = Command::new("kill").args(["-QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where a server is quick: in memory, where the system has a place for files there, and room. To sync is still to sync, but
/// costs nothing.
fn quick() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if is_roomy(&memory) { memory } else { env::temp_dir() }
}

fn directory(parent: &Path) -> std::io::Result<PathBuf> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("larder-postgres-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let directory = parent.join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory)?;
    Ok(directory)
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

/// Who runs the server, by number, when we are root.
fn owner() -> Result<Option<(u32, u32)>, String> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].iter().find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)));
    found.map(Some).ok_or_else(|| "there is no user but root, as whom PostgreSQL does not run".to_owned())
}
