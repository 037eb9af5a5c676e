//! Moving: a store from SQLite into PostgreSQL, against COPY of the same rows into the same table.

use std::path::Path;

use futures_util::SinkExt as _;
use larder::{Store, moving};
use tokio::runtime::Builder;
use tokio_postgres::{Client, NoTls};

use crate::{
    postgres::server,
    report::{Report, in_turns},
};

const VALUE: [u8; 256] = [7; 256];
/// How many rows are sent at once.
const CHUNK: u32 = 1000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn key(n: u32) -> String {
    format!("group-{:05}/{n:08}", n / 100)
}

pub(crate) fn measure(report: &mut Report, directory: &Path, entries: u32) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Whoever runs the server has to get there.
    #[cfg(unix)]
    std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let server = server::Server::start_in(directory)?;
    let url = server.url();
    let (client, source) = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE SCHEMA raw; SET search_path TO raw; {}", larder_postgres::SCHEMA)).await?;
        let source = larder::open(&format!("sqlite:{}", directory.join("moving.db").display())).await?;
        fill(&source, entries).await?;
        Ok::<_, Box<dyn std::error::Error>>((client, source))
    })?;
    let mut round = 0;
    let [raw, ours] = in_turns(
        entries,
        [&mut || runtime.block_on(copy(&client, entries)).expect("copies"), &mut || {
            runtime.block_on(async {
                round += 1;
                let target = larder::open(&format!("{url}?schema=moved_{round}")).await.expect("opens");
                let copied = moving::copy(&source, &target).await.expect("copies");
                assert_eq!(copied.progress.entries, u64::from(entries));
                target.close().await.expect("closes");
            });
        }],
    );
    report.row(format!("copy {entries} entries of 256 B, sqlite to postgres"), ours, raw, "COPY of the same rows", 0.35);
    runtime.block_on(source.close())?;
    Ok(())
}

async fn fill(store: &Store, entries: u32) -> larder::Result<()> {
    let store = store.with_native_limits();
    for first in (0..entries).step_by(CHUNK as usize) {
        let part = first..(first + CHUNK).min(entries);
        part.fold(store.commit(), |commit, n| commit.set(key(n), &VALUE)).await?;
    }
    Ok(())
}

/// The rows as COPY takes them, into a table that has nothing in it.
async fn copy(client: &Client, entries: u32) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("TRUNCATE entries").await?;
    let mut sink = Box::pin(client.copy_in("COPY entries FROM STDIN").await?);
    let value = "07".repeat(VALUE.len());
    for first in (0..entries).step_by(CHUNK as usize) {
        let row = |n| format!("default\t{}\t1\t1\t0\t0\t\\N\tf\t\\N\t\\N\t\\\\x{value}\n", key(n));
        let rows: String = (first..(first + CHUNK).min(entries)).map(row).collect();
        sink.send(bytes::Bytes::from(rows)).await?;
    }
    sink.as_mut().finish().await.map(drop)
}
