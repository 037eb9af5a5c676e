//! Locks: of all who hold one, one at a time, whoever dies, hangs or is stopped.
//!
//! Every command asks a witness who knows nothing of Larder: a file that the kernel locks for it and for whatever it has
//! started, and frees when the last of them is gone. That somebody is in, or waits, is read from a pipe; that time has
//! passed, from the store's own log.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::sandbox::{Answer, Sandbox};

/// Fails if anything of another command still lives; prints the fencing token and the process of the guard.
const WITNESS: &str = "exec 9>witness; flock -n 9 || { echo both; exit 99; }; echo in $LARDER_LOCK_REVISION $PPID; ";

/// A lease that ends within a test, and is renewed in time on a machine that has much else to do.
const SHORT: &str = "6s";

/// After this time something is taken for not happening; it has nothing to do with how soon it should.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lines of a pipe, as they come.
struct Lines(Receiver<String>);

impl Lines {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let mut pipe = BufReader::new(pipe.expect("a pipe"));
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && sender.send(std::mem::take(&mut line)).is_ok() {}
        });
        Self(lines)
    }

    /// The next line; nothing when all who could write one have ended.
    fn next(&self) -> String {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => String::new(),
            Err(RecvTimeoutError::Timeout) => panic!("nothing is said, and nobody ends"),
        }
    }

    fn rest(&self) -> String {
        std::iter::repeat_with(|| self.next()).take_while(|line| !line.is_empty()).collect()
    }
}

/// `larder lock`, running.
struct Locking {
    child: Child,
    input: Option<ChildStdin>,
    out: Lines,
    errors: Lines,
}

impl Locking {
    /// Asks for the lock `deploy` and runs `script`, after the witness, in a shell.
    fn start(sandbox: &Sandbox, options: &[&str], script: &str) -> Self {
        let script = format!("{WITNESS}{script}");
        Self::run(sandbox, options, &["sh", "-c", &script])
    }

    fn run(sandbox: &Sandbox, options: &[&str], command: &[&str]) -> Self {
        let arguments = ["lock"].iter().chain(options).chain(&["deploy", "--"]).chain(command);
        let mut child = hearing(&sandbox.command(arguments)).spawn().expect("the program starts");
        let input = child.stdin.take();
        let (out, errors) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        Self { child, input, out, errors }
    }

    /// Waits until the command is in; its fencing token, and the process of its guard.
    fn entered(&self) -> (u64, u32) {
        let line = self.out.next();
        let Some((revision, guard)) = line.trim_end().strip_prefix("in ").and_then(|line| line.split_once(' ')) else {
            panic!("{line:?} {}", self.errors.rest());
        };
        (revision.parse().expect("a number"), guard.parse().expect("a number"))
    }

    /// Waits until it is known to wait.
    fn waits(&self) {
        let line = self.errors.next();
        assert!(line.starts_with("waiting for the lock \"deploy\", held by process "), "{line}");
    }

    fn signal(&self, name: &str) {
        signal(name, &[self.child.id()]);
    }

    /// Waits until it has ended, with everything that has its output.
    fn end(mut self) -> Answer {
        self.input = None;
        let (bytes, error) = (self.out.rest().into_bytes(), self.errors.rest());
        let status = self.child.wait().expect("it ends").code().unwrap_or(-1);
        Answer { status, bytes, error }
    }
}

impl Drop for Locking {
    fn drop(&mut self) {
        // A test that fails must leave nothing behind; its guard sees to the command.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, processes: &[u32]) {
    let status = Command::new("kill").arg(name).args(processes.iter().map(u32::to_string)).status();
    assert!(status.expect("there is a program kill").success());
}

/// The same command with its signals as they are by default: whoever runs the tests may have them ignored, as `nohup` has.
fn hearing(command: &Command) -> Command {
    let mut hearing = Command::new("env");
    hearing.arg("--default-signal=HUP,INT,TERM").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => hearing.env(name, value),
            None => hearing.env_remove(name),
        };
    }
    hearing.current_dir(command.get_current_dir().expect("a sandbox has a directory"));
    hearing.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    hearing
}

/// What has happened to the lock, once it is `count` events.
fn events(sandbox: &Sandbox, count: usize) -> Vec<Value> {
    let count_text = count.to_string();
    let arguments = ["watch", "--key", "deploy", "-n", "locks", "--from", "0", "--json", "--count", &count_text];
    let mut watch = sandbox.command(arguments).spawn().expect("the program starts");
    let lines = Lines::of(watch.stdout.take());
    let events = (0..count).map(|_| serde_json::from_str(&lines.next()).expect("each line is JSON")).collect();
    assert!(watch.wait().expect("it ends").success());
    events
}

/// Waits until the lock has been taken and renewed so often that its first lease is long over.
fn outlive_the_first_lease(sandbox: &Sandbox) {
    assert!(events(sandbox, 5)[1..].iter().all(|event| event["kind"] == "updated"));
}

/// The lock was taken over when the last lease of the first holder had ended by itself, and not before.
fn assert_taken_over_at_the_end_of_the_lease(sandbox: &Sandbox) {
    // The new holder renews its lease, so there are always more events to come.
    let pair = (6..).find_map(|count| {
        let events = events(sandbox, count);
        let place = (1..events.len()).find(|place| events[*place]["kind"] != "updated")?;
        events.get(place + 1).map(|next| [events[place].clone(), next.clone()])
    });
    let [expired, created] = pair.expect("it was taken over");
    assert_eq!((&expired["kind"], &created["kind"]), (&"expired".into(), &"created".into()));
    let end = expired["previous"]["expires_at"].as_str().expect("a lease ends");
    let begin = created["entry"]["created_at"].as_str().expect("a lease begins");
    assert!(end <= begin, "it was taken at {begin}, before {end}");
}

fn assert_free(sandbox: &Sandbox) {
    assert_eq!(sandbox.run(["exists", "deploy", "-n", "locks"]).status, 3, "the lock is free");
}

/// The whole of the promise: the holder is killed, the next goes on when the lease ends, and never both.
#[test]
fn when_the_holder_is_killed_the_next_goes_on_at_the_end_of_the_lease() {
    let sandbox = Sandbox::new();
    let first = Locking::start(&sandbox, &["--ttl", SHORT], "sleep 600; :");
    let (older, _) = first.entered();
    let second = Locking::start(&sandbox, &["--ttl", SHORT], "cat");
    second.waits();
    outlive_the_first_lease(&sandbox);
    first.signal("-KILL");
    let (newer, _) = second.entered();
    assert!(older < newer, "{older} is fenced off by {newer}");
    assert_eq!(first.end().status, -1);
    assert_taken_over_at_the_end_of_the_lease(&sandbox);
    assert_eq!(second.end().status, 0);
    assert_free(&sandbox);
}

/// A process that is stopped renews nothing and is no better than a dead one, but it comes back.
#[test]
fn when_the_holder_hangs_its_command_is_ended_before_the_next_goes_on() {
    let sandbox = Sandbox::new();
    // It does not want to end, so it has to be killed.
    let first = Locking::start(&sandbox, &["--ttl", SHORT], "trap '' TERM; sleep 600; sleep 600");
    first.entered();
    outlive_the_first_lease(&sandbox);
    let second = Locking::start(&sandbox, &["--ttl", SHORT], "cat");
    second.waits();
    first.signal("-STOP");
    second.entered();
    assert_taken_over_at_the_end_of_the_lease(&sandbox);
    first.signal("-CONT");
    let answer = first.end();
    assert_eq!(answer.status, 7, "{answer:?}");
    assert!(answer.error.contains("the lock \"deploy\" was lost while the command ran"), "{answer:?}");
    assert_eq!(second.end().status, 0, "who has lost the lock leaves it to the next");
}

/// With a lease of an hour, nothing but the news that the lock is free can be what wakes the next.
#[test]
fn when_the_command_ends_the_next_goes_on_at_once() {
    let sandbox = Sandbox::new();
    let mut holder = Locking::start(&sandbox, &["--ttl", "1h"], "cat; exit 3");
    let mut last = holder.entered().0;
    for _ in 0..3 {
        let next = Locking::start(&sandbox, &["--ttl", "1h"], "cat; exit 3");
        next.waits();
        assert_eq!(holder.end().status, 3);
        let (revision, _) = next.entered();
        assert!(last < revision);
        (holder, last) = (next, revision);
    }
    assert_eq!(holder.end().status, 3);
    assert_free(&sandbox);
}

#[test]
fn of_many_one_at_a_time() {
    const CONTENDERS: usize = 12;
    let sandbox = Sandbox::new();
    sandbox.write("count", "0");
    // Read, waited, written: two at once would lose a step.
    let script = "n=$(cat count); sleep 0.02; echo $((n + 1)) > count";
    let contenders: Vec<_> = (0..CONTENDERS).map(|_| Locking::start(&sandbox, &[], script)).collect();
    let mut revisions = Vec::new();
    for contender in contenders {
        revisions.push(contender.entered().0);
        assert_eq!(contender.end().status, 0);
    }
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), CONTENDERS, "each has a fencing token of its own");
    let count = std::fs::read_to_string(sandbox.path("count")).expect("it can be read");
    assert_eq!(count.trim_end(), CONTENDERS.to_string());
}

#[test]
fn the_exit_status_is_that_of_the_command() {
    let sandbox = Sandbox::new();
    sandbox.write("no program", "text");
    for (command, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -KILL $$"], 128 + 9),
        (&["sh", "-c", "kill -TERM $$"], 128 + 15),
        (&["no such program"], 127),
        (&["./no program"], 126),
        (&["printf", "%s", "--json"], 0),
    ] {
        let answer = Locking::run(&sandbox, &["--no-wait"], command).end();
        assert_eq!(answer.status, status, "{command:?}: {answer:?}");
        assert_eq!(answer.text(), if command[0] == "printf" { "--json" } else { "" });
    }
    assert_free(&sandbox);
}

#[test]
fn the_command_has_input_and_is_told_about_its_lock() {
    let sandbox = Sandbox::new();
    let script = "cat; echo $LARDER_LOCK_NAMESPACE $LARDER_LOCK_KEY";
    for (options, namespace) in [(&[][..], "locks"), (&["--namespace", "others"], "others")] {
        let mut locking = Locking::start(&sandbox, options, script);
        let (revision, _) = locking.entered();
        let entry = sandbox.ok(["get", "deploy", "--json", "-n", namespace]).json();
        assert_eq!(entry["revision"].as_u64(), Some(revision));
        assert_eq!(entry["value"]["pid"].as_u64(), Some(u64::from(locking.child.id())));
        locking.input.as_mut().expect("a pipe").write_all(b"typed\n").expect("somebody reads");
        assert_eq!(locking.end().text(), format!("typed\n{namespace} deploy\n"));
    }
}

#[test]
fn who_does_not_get_the_lock_runs_nothing() {
    let sandbox = Sandbox::new();
    let holder = Locking::start(&sandbox, &["--ttl", "1h"], "cat");
    holder.entered();
    for (options, hint) in [(&["--no-wait"][..], "without --no-wait"), (&["--wait", "10ms", "--quiet"], "wait longer")] {
        let answer = Locking::start(&sandbox, options, "").end();
        assert_eq!((answer.status, answer.text()), (4, ""), "{answer:?}");
        let held = format!("error: the lock \"deploy\" is held by process {} on ", holder.child.id());
        assert!(answer.error.starts_with(&held), "{answer:?}");
        assert!(answer.error.contains(hint), "{answer:?}");
    }
    assert_eq!(holder.end().status, 0);

    // What is no lock of ours, and does not expire, is waited for like one.
    sandbox.ok(["set", "deploy", "by hand", "-n", "locks"]);
    let answer = Locking::start(&sandbox, &["--no-wait"], "").end();
    assert_eq!((answer.status, answer.text()), (4, ""), "{answer:?}");
    assert!(answer.error.contains("an entry that is no lock of this program, which does not expire"), "{answer:?}");
}

#[test]
fn who_is_asked_to_end_while_waiting_does_so() {
    let sandbox = Sandbox::new();
    let holder = Locking::start(&sandbox, &["--ttl", "1h"], "cat");
    holder.entered();
    let waiter = Locking::start(&sandbox, &[], "");
    waiter.waits();
    waiter.signal("-TERM");
    let answer = waiter.end();
    assert_eq!((answer.status, answer.text()), (128 + 15, ""), "{answer:?}");
    assert_eq!(holder.end().status, 0);
}

/// With a lease of an hour, nothing but the change of the entry can be what is noticed.
#[test]
fn when_the_lease_is_taken_away_the_command_is_stopped() {
    for change in [&["delete", "deploy"][..], &["set", "deploy", "mine"]] {
        let sandbox = Sandbox::new();
        let holder = Locking::start(&sandbox, &["--ttl", "1h"], "trap 'echo told; exit 0' TERM; sleep 600 & wait");
        holder.entered();
        sandbox.ok(change.iter().chain(&["-n", "locks"]));
        let answer = holder.end();
        assert_eq!((answer.status, answer.text()), (7, "told\n"), "{answer:?}");
        assert!(answer.error.contains("somebody has deleted it or taken it over"), "{answer:?}");
        let there = sandbox.run(["get", "deploy", "-n", "locks"]);
        assert_eq!(there.status == 0, change[0] == "set", "what is another's is left alone: {there:?}");
    }
}

/// Whoever prolongs a lease by hand does its holder no harm.
#[test]
fn a_lease_that_somebody_has_touched_is_still_ours() {
    let sandbox = Sandbox::new();
    let holder = Locking::start(&sandbox, &["--ttl", SHORT], "cat");
    holder.entered();
    sandbox.ok(["touch", "deploy", "--ttl", "1m", "-n", "locks"]);
    outlive_the_first_lease(&sandbox);
    assert_eq!(holder.end().status, 0);
    assert_free(&sandbox);
}

/// When it goes on, its holder's word is there, and counts more than how long it has slept.
#[test]
fn a_guard_that_was_stopped_for_a_while_hears_that_the_lease_goes_on() {
    let sandbox = Sandbox::new();
    let holder = Locking::start(&sandbox, &["--ttl", SHORT], "cat");
    let (_, guard) = holder.entered();
    signal("-STOP", &[guard]);
    outlive_the_first_lease(&sandbox);
    signal("-CONT", &[guard]);
    assert_eq!(holder.end().status, 0);
}

/// It ends with whatever it has started, also with what has another parent by now: the pipe ends when all of them have.
#[test]
fn when_the_guard_is_killed_the_command_ends_and_the_lock_is_free() {
    let sandbox = Sandbox::new();
    let script = "(setsid sh -c 'echo ready; trap \"\" TERM; sleep 600; sleep 600' &); sleep 600; :";
    let holder = Locking::start(&sandbox, &["--ttl", "1h"], script);
    let (_, guard) = holder.entered();
    assert_eq!(holder.out.next(), "ready\n");
    signal("-KILL", &[guard]);
    let answer = holder.end();
    assert_eq!(answer.status, 7, "{answer:?}");
    assert!(answer.error.contains("the process that guards the command was killed"), "{answer:?}");
    assert_free(&sandbox);
}

#[test]
fn when_holder_and_guard_are_killed_the_command_dies_with_them() {
    let sandbox = Sandbox::new();
    let holder = Locking::start(&sandbox, &["--ttl", "1h"], "trap '' TERM; exec sleep 600");
    let (_, guard) = holder.entered();
    // Stopped first, so that neither can do anything about the death of the other.
    signal("-STOP", &[holder.child.id(), guard]);
    signal("-KILL", &[holder.child.id(), guard]);
    assert_eq!(holder.end().status, -1);
}

#[test]
fn signals_are_passed_on() {
    let sandbox = Sandbox::new();
    for (name, status) in [("TERM", 5), ("HUP", 6)] {
        // A plain kill may meet a shell that has not become sleep yet, and be taken for one that was trapped.
        let script = format!("trap 'echo told; kill -KILL $!; exit {status}' {name}; sleep 600 & echo ready; wait");
        let holder = Locking::start(&sandbox, &["--ttl", "1h"], &script);
        holder.entered();
        assert_eq!(holder.out.next(), "ready\n");
        holder.signal(&format!("-{name}"));
        let answer = holder.end();
        assert_eq!((answer.status, answer.text()), (status, "told\n"), "{answer:?}");
        assert_free(&sandbox);
    }
}

/// Who starts it with `nohup` means the command.
#[test]
fn what_was_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let script = "trap '' HUP; exec \"$0\" lock deploy -- sh -c 'kill -HUP $$; kill -HUP $PPID; echo alive'";
    let program = env!("CARGO_BIN_EXE_larder");
    let output =
        Command::new("sh").args(["-c", script, program]).env_remove("LARDER_STORE").current_dir(sandbox.path("")).output();
    let output = output.expect("there is a shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "alive\n", "{output:?}");
}

#[test]
fn what_the_command_leaves_running_is_not_held_up() {
    let sandbox = Sandbox::new();
    let mut holder = Locking::run(&sandbox, &["--ttl", "1h"], &["sh", "-c", "sleep 600 & echo $!"]);
    let left: u32 = holder.out.next().trim_end().parse().expect("a number");
    assert_eq!(holder.child.wait().expect("it ends").code(), Some(0));
    assert_free(&sandbox);
    // It would fail if there were no such process any more.
    signal("-KILL", &[left]);
}
