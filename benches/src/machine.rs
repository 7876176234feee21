//! On what was measured, and how busy it was.

use std::fs;

/// The machine in one line.
pub(crate) fn describe() -> Result<String, String> {
    let processors = read("/proc/cpuinfo")?;
    let named = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = named.map_or("an unnamed processor", |(_, name)| name);
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease")?;
    Ok(format!("{count} x {name}, {}, Linux {}; {}", std::env::consts::ARCH, kernel.trim(), load()?))
}

/// How busy the machine is.
pub(crate) fn load() -> Result<String, String> {
    let load = read("/proc/loadavg")?;
    Ok(format!("load of the last minute: {}", load.split(' ').next().unwrap_or_default()))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}
