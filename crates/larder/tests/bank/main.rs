//! A bank: transfers by tasks and processes at once, auditors who must always see the same total, and watchers who must be
//! told every transfer once; where there are servers, also while these are killed.
//!
//! The children are this very program, started again, so it brings its own main. `LARDER_SOAK=1` keeps each bank open for
//! five minutes instead of a few seconds; a word as argument picks the banks with it in their name.

mod trouble;
mod work;

use std::{
    env,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use larder::{Result, Store};

use trouble::Trouble;
use work::{ACCOUNTS, EACH, TOTAL, account, audit, end, follow, sum, work};

const ROLE: &str = "LARDER_TEST_BANK";
const URL: &str = "LARDER_TEST_URL";
const SECONDS: &str = "LARDER_TEST_SECONDS";

const PROCESSES: usize = 8;
const TASKS: usize = 64;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Ok(name) = env::var(ROLE) {
        let seconds = env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).expect("the parent says how long");
        let transfers = runtime.block_on(child(&name, Duration::from_secs(seconds))).expect("a teller works");
        println!("{transfers}");
        return ExitCode::SUCCESS;
    }
    let wanted = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_soak = env::var_os("LARDER_SOAK").is_some();
    let mut passed = 0;
    for trouble in
        Trouble::all().into_iter().filter(|trouble| wanted.as_ref().is_none_or(|word| trouble.name().contains(word)))
    {
        let (seconds, tasks) = if is_soak { (300, TASKS) } else { trouble.taste(TASKS) };
        runtime.block_on(bank(trouble, tasks, seconds));
        passed += 1;
    }
    println!("\ntest result: ok. {passed} passed; 0 failed");
    ExitCode::SUCCESS
}

async fn child(name: &str, time: Duration) -> Result<u64> {
    let store = larder::open(&env::var(URL).expect("the parent names the store")).await?;
    let until = Instant::now() + time;
    let auditor = tokio::spawn(audit(store.clone(), until));
    let transfers = work(store.clone(), name.to_owned(), until).await?;
    auditor.await.expect("an auditor does not panic")?;
    store.close().await?;
    Ok(transfers)
}

fn hire(url: &str, seconds: u64) -> Vec<Child> {
    let own = env::current_exe().expect("a program finds itself");
    let one = |n| {
        let mut command = Command::new(&own);
        command.env(ROLE, format!("process-{n}")).env(URL, url).env(SECONDS, seconds.to_string());
        command.stdout(Stdio::piped()).spawn().expect("starts")
    };
    (0..PROCESSES).map(one).collect()
}

/// One bank, from the first deposit to the last audit.
async fn bank(mut trouble: Trouble, tasks: usize, seconds: u64) {
    let url = trouble.url();
    let store = larder::open(&url).await.expect("opens");
    open_accounts(&store).await;
    let begun = store.scan("accounts/").await.expect("scans").revision;
    let children = if trouble.is_shared() { hire(&url, seconds) } else { Vec::new() };
    let processes = children.len();

    let until = Instant::now() + Duration::from_secs(seconds);
    let follower = tokio::spawn(follow(store.clone(), begun));
    let auditors: Vec<_> = (0..4).map(|_| tokio::spawn(audit(store.clone(), until))).collect();
    let tellers: Vec<_> = (0..tasks).map(|n| tokio::spawn(work(store.clone(), format!("task-{n}"), until))).collect();
    let troubled = tokio::task::spawn_blocking(move || {
        let times = trouble.make(until);
        (trouble, times)
    });
    let mut acknowledged = 0;
    for teller in tellers {
        acknowledged += teller.await.expect("a teller does not panic").expect("a teller works");
    }
    let mut audits = 0;
    for auditor in auditors {
        audits += auditor.await.expect("an auditor does not panic").expect("an auditor works");
    }
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "a process of tellers and auditors ends well");
        acknowledged += String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().expect("a number of transfers");
    }
    let (trouble, times) = troubled.await.expect("trouble does not panic");
    end(&store).await;
    let told = follower.await.expect("who follows does not panic").expect("the watch goes on");

    let left = sum(&store.scan("accounts/").await.expect("scans").items);
    assert_eq!(left, TOTAL, "money was made or lost");
    let done = sum(&store.scan("transfers/").await.expect("scans").items);
    assert_eq!(done, acknowledged, "as many transfers as were acknowledged have happened");
    assert_eq!(told, acknowledged, "whoever watched was told each of them");
    assert!(acknowledged > 0 && audits > 0, "somebody came to work");
    println!(
        "test the_bank_on_{} ... ok ({seconds} s, {processes} processes, {tasks} tasks, {acknowledged} transfers, {audits} audits \
         here, troubled {times} times)",
        trouble.name()
    );
    store.close().await.expect("closes");
}

async fn open_accounts(store: &Store) {
    for first in (0..ACCOUNTS).step_by(60) {
        let open = (first..ACCOUNTS.min(first + 60)).try_fold(store.commit(), |commit, n| {
            Ok::<_, larder::Error>(commit.set(account(n), larder::Value::json(EACH.to_string())?))
        });
        open.expect("good values").await.expect("opens accounts");
    }
}
