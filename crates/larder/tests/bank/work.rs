//! What is done in the bank: transfers, audits, and a record kept by who only watches.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use larder::{Entry, Error, ErrorKind, Result, Revision, Select, Store, Transaction};

/// More than fit on a page of a scan.
pub(crate) const ACCOUNTS: u64 = 1_200;
pub(crate) const EACH: u64 = 100;
pub(crate) const TOTAL: u64 = ACCOUNTS * EACH;

/// How long a transfer is tried: many meet at few accounts, and a server without a leader answers nobody.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is written last.
const END: &str = "end";

pub(crate) fn account(n: u64) -> String {
    format!("accounts/{n:04}")
}

pub(crate) fn sum(entries: &[Entry]) -> u64 {
    entries.iter().map(number).sum()
}

fn number(entry: &Entry) -> u64 {
    let number = entry.value.as_integer().and_then(|number| u64::try_from(number).ok());
    number.expect("a balance is a number and not below zero")
}

/// Moves money until then, and answers how many transfers were acknowledged.
pub(crate) async fn work(store: Store, name: String, until: Instant) -> Result<u64> {
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
        store.transact_for(PATIENCE, transfer).await?;
        transfers += 1;
    }
    Ok(transfers)
}

/// Counts all the money in every way there is until then, and answers how often.
pub(crate) async fn audit(store: Store, until: Instant) -> Result<u64> {
    let mut audits = 0;
    while Instant::now() < until {
        tokio::task::yield_now().await;
        match look(&store).await {
            Ok(()) => audits += 1,
            Err(error) if is_trouble(&error) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => return Err(error),
        }
    }
    Ok(audits)
}

/// Whether it passes by itself, where servers are killed.
fn is_trouble(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable)
}

async fn look(store: &Store) -> Result<()> {
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
    Ok(())
}

/// Watches until the end, and answers how many transfers there were. After each of them the total is the same, and every count
/// of transfers goes on by one: none is missed, told twice, torn or out of order.
pub(crate) async fn follow(store: Store, after: Revision) -> Result<u64> {
    let mut accounts: BTreeMap<String, u64> = (0..ACCOUNTS).map(|n| (account(n), EACH)).collect();
    let mut counts = BTreeMap::<String, u64>::new();
    let mut watch = store.watch_all().after(after).start().await?;
    loop {
        let batch = match watch.next().await {
            Ok(batch) => batch,
            Err(error) if is_trouble(&error) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        for change in &batch.changes {
            let (key, after) = (change.address.key.as_str(), change.after.as_ref());
            if key == END {
                return Ok(counts.values().sum());
            }
            let now = number(after.expect("nothing is ever deleted"));
            if key.starts_with("accounts/") {
                accounts.insert(key.to_owned(), now);
            } else {
                let before = counts.insert(key.to_owned(), now).unwrap_or(0);
                assert_eq!(now, before + 1, "{key} was missed or told twice");
            }
        }
        assert_eq!(accounts.values().sum::<u64>(), TOTAL, "a commit was torn");
    }
}

/// Tells whoever follows that nothing comes any more.
pub(crate) async fn end(store: &Store) {
    store.set(END, "end").await.expect("ends");
}
