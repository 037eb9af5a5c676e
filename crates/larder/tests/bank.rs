//! A bank: transfers by tasks and processes at once, and auditors who must always see the same total.
//!
//! The children are this very program, started again, so it brings its own main. `LARDER_SOAK=1` keeps the bank open for
//! five minutes instead of a few seconds.

use std::{
    env,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use larder::{Error, Result, Select, Store, Transaction};

const ROLE: &str = "LARDER_TEST_BANK";
const URL: &str = "LARDER_TEST_URL";
const SECONDS: &str = "LARDER_TEST_SECONDS";

const PROCESSES: usize = 8;
const TASKS: usize = 64;
/// More than fit on a page of a scan.
const ACCOUNTS: u64 = 1_200;
const EACH: u64 = 100;
const TOTAL: u64 = ACCOUNTS * EACH;

fn account(n: u64) -> String {
    format!("accounts/{n:04}")
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Ok(name) = env::var(ROLE) {
        let seconds = env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).expect("the parent says how long");
        let transfers = runtime.block_on(child(&name, Duration::from_secs(seconds))).expect("a teller works");
        println!("{transfers}");
        return ExitCode::SUCCESS;
    }
    let seconds = if env::var_os("LARDER_SOAK").is_some() { 300 } else { 4 };
    for (name, processes) in [("memory", 0), ("sqlite", PROCESSES)] {
        runtime.block_on(bank(name, processes, seconds));
    }
    println!("\ntest result: ok. 2 passed; 0 failed");
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

/// One bank, from the first deposit to the last audit.
async fn bank(engine: &str, processes: usize, seconds: u64) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = match engine {
        "memory" => "memory:".to_owned(),
        _ => format!("sqlite:{}", directory.path().join("bank.db").display()),
    };
    let store = larder::open(&url).await.expect("opens");
    for n in 0..ACCOUNTS {
        store.set_json(account(n), &EACH).await.expect("opens an account");
    }
    let own = env::current_exe().expect("a program finds itself");
    let children: Vec<_> = (0..processes)
        .map(|n| {
            let mut command = Command::new(&own);
            command.env(ROLE, format!("process-{n}")).env(URL, &url).env(SECONDS, seconds.to_string());
            command.stdout(Stdio::piped()).spawn().expect("starts")
        })
        .collect();

    let until = Instant::now() + Duration::from_secs(seconds);
    let auditors: Vec<_> = (0..4).map(|_| tokio::spawn(audit(store.clone(), until))).collect();
    let tellers: Vec<_> = (0..TASKS).map(|n| tokio::spawn(work(store.clone(), format!("task-{n}"), until))).collect();
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

    let left = sum(&store.scan("accounts/").await.expect("scans").items);
    assert_eq!(left, TOTAL, "money was made or lost");
    let done = sum(&store.scan("transfers/").await.expect("scans").items);
    assert_eq!(done, acknowledged, "as many transfers as were acknowledged have happened");
    assert!(acknowledged > 0 && audits > 0, "somebody came to work");
    println!(
        "test the_bank_on_{engine} ... ok ({seconds} s, {processes} processes, {acknowledged} transfers, {audits} audits here)"
    );
    store.close().await.expect("closes");
}

fn sum(entries: &[larder::Entry]) -> u64 {
    let balance = |entry: &larder::Entry| entry.value.as_integer().and_then(|number| u64::try_from(number).ok());
    entries.iter().map(|entry| balance(entry).expect("a balance is a number and not below zero")).sum()
}

/// Moves money until then, and answers how many transfers were acknowledged.
async fn work(store: Store, name: String, until: Instant) -> Result<u64> {
    let counter = format!("transfers/{name}");
    let mut transfers = 0;
    while Instant::now() < until {
        // What answers at once never waits, and the others want their turn.
        tokio::task::yield_now().await;
        let chance = store.world().random();
        let pick = |shift: u32| u64::try_from((chance >> shift) % u128::from(ACCOUNTS)).expect("a small number");
        let (from, to, amount) = (account(pick(0)), account(pick(32)), u64::try_from((chance >> 64) % 50).expect("small"));
        if from == to {
            continue;
        }
        let transfer = async |mut t: Transaction| {
            let source: u64 = t.get_json(&from).await?.ok_or_else(|| Error::invalid("an account has gone"))?;
            let target: u64 = t.get_json(&to).await?.ok_or_else(|| Error::invalid("an account has gone"))?;
            let amount = amount.min(source);
            t.set_json(&from, &(source - amount))?;
            t.set_json(&to, &(target + amount))?;
            t.add(&counter, 1, 0..=i64::MAX).await
        };
        store.transact_for(Duration::from_secs(60), transfer).await?;
        transfers += 1;
    }
    Ok(transfers)
}

/// Counts all the money in every way there is until then, and answers how often.
async fn audit(store: Store, until: Instant) -> Result<u64> {
    let mut audits = 0;
    while Instant::now() < until {
        tokio::task::yield_now().await;
        assert_eq!(sum(&store.scan("accounts/").await?.items), TOTAL, "a scan saw two moments");
        let mut pages = store.pages(Select::prefix("accounts/"));
        let mut paged = 0;
        while let Some(page) = pages.next().await? {
            paged += sum(&page);
        }
        assert_eq!(paged, TOTAL, "pages saw two moments");
        let mut transaction = store.begin(larder::Isolation::Serializable);
        let (low, high) = (Select::prefix("accounts/0"), Select::prefix("accounts/1"));
        let both = sum(&transaction.scan(low).await?.items) + sum(&transaction.scan(high).await?.items);
        assert_eq!(both, TOTAL, "a transaction saw two moments");
        audits += 1;
    }
    Ok(audits)
}
