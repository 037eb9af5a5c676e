//! Lineage: noticing when the past of a file may be another than it was.
//!
//! With `synchronous=NORMAL` the death of a process loses nothing, but a power cut may take the last commits. So the
//! first such commit names the boot of the system in the file, a clean end takes the name away, and who opens the file
//! in another boot draws a new lineage.

use std::sync::LazyLock;

use larder_core::Result;
use rusqlite::Connection;

use crate::error::explain;

/// Where the system does not tell its boots apart, every reopen without a clean end counts as a power cut.
const UNKNOWN: &str = "unknown";

static BOOT: LazyLock<String> = LazyLock::new(|| {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| UNKNOWN.to_owned(), |id| id.trim().to_owned())
});

/// Which boot of the system this is.
pub(crate) fn boot() -> &'static str {
    &BOOT
}

/// Draws a new lineage when commits were made in another boot that a power cut may have taken.
pub(crate) fn notice_lost_past(connection: &Connection) -> Result<()> {
    let sql = "SELECT relaxed_boot IS NOT NULL AND (relaxed_boot <> ?1 OR relaxed_boot = ?2) FROM store";
    if connection.query_row(sql, (boot(), UNKNOWN), |row| row.get(0)).map_err(explain)? {
        draw(connection)?;
    }
    Ok(())
}

/// Makes what comes from here on another past.
pub(crate) fn draw(connection: &Connection) -> Result<()> {
    // Halved, because the smallest i64 has no absolute value.
    connection.execute("UPDATE store SET lineage = abs(random() / 2), relaxed_boot = NULL", []).map(|_| ()).map_err(explain)
}
