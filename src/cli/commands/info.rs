//! `rheaper info`: prints the contents and losses of a recording without loading its events.

use std::io::{self, BufWriter, Write};

use crate::cli::args::InfoArgs;
use crate::cli::commands::load;
use crate::cli::exit::Failure;
use crate::database::text::sanitize;
use crate::database::text::units;
use crate::loader::{self, Ending, Info};

/// `rheaper info`
pub(crate) fn info(args: &InfoArgs) -> Result<(), Failure> {
    load::check_is_recording(&args.recording)?;
    let info = loader::info(&args.recording)?;
    let mut out = BufWriter::new(io::stdout().lock());
    write(&info, &mut out)?;
    Ok(out.flush()?)
}

fn write(info: &Info, out: &mut dyn Write) -> io::Result<()> {
    let ending = match info.ending {
        Ending::Sealed => "complete".to_owned(),
        Ending::WriteFailed(code) => {
            format!("complete until a failed write: {}", io::Error::from_raw_os_error(code))
        }
        Ending::Quota => "complete until its quota was reached".to_owned(),
        Ending::CutOff => "cut off: the process was killed, or is still running".to_owned(),
    };
    writeln!(out, "recording   {}", sanitize::line(&info.path.to_string_lossy()))?;
    writeln!(out, "size        {}", bytes(info.file_bytes))?;
    writeln!(out, "duration    {}", units::duration(info.duration_ns as f64))?;
    writeln!(out, "ending      {ending}")?;
    if info.header.sample_bytes > 0 {
        let rate = bytes(info.header.sample_bytes);
        writeln!(out, "sampled     one block in {rate}; all totals are estimates")?;
    }
    if info.header.aggregate_below_ns > 0 {
        let shorter = units::duration(info.header.aggregate_below_ns as f64);
        writeln!(
            out,
            "aggregated  blocks with lifetimes below {shorter}, or below a higher limit later"
        )?;
    }
    writeln!(out, "frames      {} distinct", info.nodes)?;
    for block in &info.blocks {
        writeln!(
            out,
            "blocks      {} {}, {}",
            block.blocks,
            sanitize::line(&block.kind),
            bytes(block.bytes)
        )?;
    }
    for stream in &info.streams {
        let missing = match stream.missing_bytes {
            0 => String::new(),
            missing => format!(", {} missing", bytes(missing)),
        };
        writeln!(
            out,
            "stream      {}: {} blocks, {}{missing}",
            stream.id,
            stream.blocks,
            bytes(stream.bytes)
        )?;
    }
    write_details(info, out)
}

/// Threads, modules, damage and losses.
fn write_details(info: &Info, out: &mut dyn Write) -> io::Result<()> {
    for thread in &info.threads {
        writeln!(
            out,
            "thread      {}: {} (os {})",
            thread.id,
            sanitize::line(&thread.name),
            thread.os_id
        )?;
    }
    for module in &info.modules {
        let main = if module.main { ", the executable" } else { "" };
        let build_id = if module.build_id.is_empty() { "none" } else { &module.build_id };
        writeln!(out, "module      {}, build id {build_id}{main}", sanitize::line(&module.path))?;
    }
    if info.damaged_places + info.torn_bytes > 0 {
        let damaged = (info.damaged_places, bytes(info.damaged_bytes), bytes(info.torn_bytes));
        writeln!(
            out,
            "damaged     {} places, {}; {} torn at the end",
            damaged.0, damaged.1, damaged.2
        )?;
    }
    if info.losses.is_empty() {
        writeln!(out, "lost        nothing")?;
    }
    for loss in &info.losses {
        writeln!(
            out,
            "lost        {} {}: {}",
            loss.count,
            sanitize::line(&loss.name),
            sanitize::line(&loss.meaning)
        )?;
    }
    Ok(())
}

fn bytes(bytes: u64) -> String {
    units::bytes(bytes as f64)
}
