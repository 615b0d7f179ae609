//! Memory figures of this process, from the system.

use std::fs;

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident memory.
    pub resident: u64,
    /// Peak resident memory.
    pub peak: u64,
}

impl Memory {
    /// Reads the current figures; `None` if the system does not report them in `/proc`.
    pub fn now() -> Option<Memory> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        Some(Memory { resident: field(&status, "VmRSS:")?, peak: field(&status, "VmHWM:")? })
    }
}

impl Memory {
    /// The increase in resident memory between two readings, per key.
    pub fn per_key(before: Option<Memory>, after: Option<Memory>, keys: u64) -> Option<f64> {
        let (before, after) = before.zip(after)?;
        Some(after.resident.saturating_sub(before.resident) as f64 / keys as f64)
    }
}

/// Parses a line such as `VmRSS:     1234 kB` and returns bytes.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024)
}

/// The system's setting of transparent huge pages: `always`, `madvise` or `never`. It affects how
/// many calls take a page fault, and how long a page fault takes.
pub fn huge_pages() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(mode, _)| mode.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_bytes() {
        let status = "VmHWM:\t    2048 kB\nVmRSS:\t       3 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(3 * 1024));
        assert_eq!(field(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
