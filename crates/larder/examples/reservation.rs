//! Reservations that end by themselves: stock is put aside for a customer, who buys it in time or not at all.
//!
//! A number with bounds is what is left to put aside; it never falls below zero, however many ask at once. A reservation
//! is two entries: one that expires is the customer's claim, and one that does not says what was put aside for it. Where
//! the claim is gone and the other is not, whoever comes by gives the goods back: in one commit, so it happens once.
//!
//! ```console
//! $ cargo run --package larder --example reservation
//! ```

use std::time::Duration;

use larder::{Action, Condition, ErrorKind, MetadataChange, Result, Store};

/// How long a customer may think about it.
pub(crate) const CLAIM: Duration = Duration::from_secs(2);

/// The stock of one article.
pub(crate) struct Stock {
    store: Store,
    article: String,
}

impl Stock {
    pub(crate) fn of(store: &Store, article: &str) -> Self {
        Self { store: store.clone(), article: article.to_owned() }
    }

    /// More has come in; answers how many can be put aside now.
    pub(crate) async fn receive(&self, count: i64) -> Result<i64> {
        self.store.add(self.left(), count, 0..=i64::MAX).await
    }

    /// Puts `count` aside for `customer`; `false` means that there are not enough, or that he has a reservation already.
    pub(crate) async fn reserve(&self, customer: &str, count: i64) -> Result<bool> {
        // What nobody claims any more is there for all. Looking for it can be left to a task of its own.
        self.give_back().await?;
        let claim = Action::Put {
            value: "".into(),
            expires_at: Some(self.store.world().now().after(CLAIM)),
            metadata: MetadataChange::Keep,
        };
        let reserved = self
            .store
            .commit()
            .check(self.aside(customer), Condition::Absent)
            .add(self.left(), -count, 0..=i64::MAX)
            .add(self.aside(customer), count, 1..=i64::MAX)
            .action(self.claim(customer), claim)
            .await;
        happened(reserved.map(drop))
    }

    /// Sells what was put aside; `false` means that the claim has expired.
    pub(crate) async fn buy(&self, customer: &str) -> Result<bool> {
        let bought = self
            .store
            .commit()
            .check(self.claim(customer), Condition::Exists)
            .delete(self.claim(customer))
            .delete(self.aside(customer))
            .await;
        happened(bought.map(drop))
    }

    /// Gives back what is put aside without a claim; answers how many reservations that were.
    pub(crate) async fn give_back(&self) -> Result<u64> {
        let mut given_back = 0;
        for aside in self.store.scan(self.aside("").as_str()).await?.items {
            let customer = &aside.address.key[self.aside("").len()..];
            let Some(count) = aside.value.as_integer() else { continue };
            // Of those who try this, one does it; and none as long as there is a claim.
            let given = self
                .store
                .commit()
                .check(self.claim(customer), Condition::Absent)
                .check(&aside.address.key, Condition::Revision(aside.revision))
                .delete(&aside.address.key)
                .add(self.left(), count, 0..=i64::MAX)
                .await;
            given_back += u64::from(happened(given.map(drop))?);
        }
        Ok(given_back)
    }

    fn left(&self) -> String {
        format!("left/{}", self.article)
    }

    fn aside(&self, customer: &str) -> String {
        format!("aside/{}/{customer}", self.article)
    }

    fn claim(&self, customer: &str) -> String {
        format!("claim/{}/{customer}", self.article)
    }
}

/// Whether a commit found what it depends on.
fn happened(answer: Result<()>) -> Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let store = larder::open("memory:").await?;
    let apples = Stock::of(&store, "apples");
    println!("{} apples are there", apples.receive(5).await?);
    println!("ann reserves 3: {}", apples.reserve("ann", 3).await?);
    println!("bob reserves 3: {}", apples.reserve("bob", 3).await?);
    tokio::time::sleep(CLAIM).await;
    println!("ann has thought about it for too long. bob reserves 3: {}", apples.reserve("bob", 3).await?);
    println!("ann buys: {}", apples.buy("ann").await?);
    println!("bob buys: {}", apples.buy("bob").await?);
    println!("{} apples are left", apples.receive(0).await?);
    store.close().await
}
