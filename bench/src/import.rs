//! Import: a million small records from a file into SQLite, by the program itself.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{raw, report::Report};

/// Records in one commit, as `larder import` does it.
const BATCH: usize = 1000;

pub(crate) fn measure(
    report: &mut Report,
    directory: &Path,
    records: u32,
    program: Option<&Path>,
) -> Result<(), Box<dyn std::error::Error>> {
    let Some(program) = program else {
        eprintln!("import: left out, because no --program was given");
        return Ok(());
    };
    let lines = directory.join("records.jsonl");
    let mut file = BufWriter::new(File::create(&lines)?);
    for n in 0..records {
        writeln!(file, r#"{{"id":"record-{n:08}","name":"name {n}","active":true,"score":{}}}"#, n % 1000)?;
    }
    file.flush()?;

    let mut ours = Vec::new();
    let mut raws = Vec::new();
    let mut peaks = Vec::new();
    for round in 0..3 {
        raws.push(by_hand(&lines, &directory.join(format!("raw-import-{round}.db")))?);
        let (took, peak) = by_program(program, &lines, &directory.join(format!("import-{round}.db")))?;
        ours.push(took);
        peaks.push(peak);
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        f64::from(records) / times[times.len() / 2].as_secs_f64()
    };
    let (ours, raw) = (rate(&mut ours), rate(&mut raws));
    let peak = peaks.into_iter().max().unwrap_or_default();
    report.row(
        format!("import of {records} records, peak memory {} MiB", peak / 1024),
        ours,
        raw,
        "the same rows by hand",
        0.4,
    );
    Ok(())
}

/// How long it takes to read the lines and write the same rows in the same batches.
fn by_hand(lines: &Path, path: &Path) -> Result<Duration, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut connection = raw::create(path)?;
    let mut lines = BufReader::new(File::open(lines)?).lines();
    let mut ordinal = 0;
    for revision in 1.. {
        let batch: Vec<String> = lines.by_ref().take(BATCH).collect::<Result<_, _>>()?;
        if batch.is_empty() {
            break;
        }
        let transaction = connection.transaction()?;
        for line in batch {
            ordinal += 1;
            // The key stands at the same place in every line; a parser would only make this side slower.
            let key = &line[7..22];
            raw::set(&transaction, ordinal, key, line.as_bytes())?;
        }
        raw::commit(&transaction, revision)?;
        raw::head(&transaction, revision)?;
        transaction.commit()?;
    }
    connection.close().map_err(|(_, error)| error)?;
    Ok(start.elapsed())
}

/// How long the program takes, and how much memory at its peak, in KiB.
fn by_program(program: &Path, lines: &Path, path: &Path) -> Result<(Duration, u64), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut child = Command::new(program)
        .arg(format!("--store=sqlite:{}", path.display()))
        .args(["--quiet", "import", "--key", "id"])
        .arg(lines)
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(peak_kib(child.id()));
        std::thread::sleep(Duration::from_millis(20));
    };
    let took = start.elapsed();
    if !status.success() {
        return Err(format!("the import ended with {status}").into());
    }
    Ok((took, peak))
}

/// The most memory the process has had so far, as Linux counts it; 0 elsewhere.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}
