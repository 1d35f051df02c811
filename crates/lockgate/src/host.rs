//! Detects the hardware of this machine: cores, memory, GPU.
//!
//! Decision: the figures are those of the process, after affinity and the container's quota,
//! because a container of two cores cannot use the 64 of its host.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

/// The figures that `lockgate doctor` prints and `serve` plans with.
#[derive(Debug)]
pub(crate) struct Host {
    /// Cores that the process may use.
    pub(crate) cores: NonZeroUsize,
    /// Cores of the host.
    pub(crate) host_cores: usize,
    /// Bytes that the process may use.
    pub(crate) memory_bytes: Option<u64>,
    /// The limit of the control group, when there is one.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// The model of the processor.
    pub(crate) processor: String,
    /// Instruction set extensions that matter for models.
    pub(crate) extensions: Vec<&'static str>,
    /// True when the process can reach an NVIDIA driver.
    pub(crate) has_gpu: bool,
}

impl Host {
    /// Detects the hardware.
    pub(crate) fn detect() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory_limit_bytes = read_number("/sys/fs/cgroup/memory.max");
        let host_memory = memory_of_host();
        Self {
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            host_cores: cpu_info
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            memory_bytes: [memory_limit_bytes, host_memory]
                .into_iter()
                .flatten()
                .min(),
            memory_limit_bytes,
            processor: field(&cpu_info, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            extensions: extensions(field(&cpu_info, "flags").unwrap_or_default()),
            // A container sees the driver of its host in /proc even when it has no device.
            has_gpu: Path::new("/dev/nvidiactl").exists(),
        }
    }

    /// Returns whether the processor supports bf16, which makes the OpenVINO provider worthwhile.
    pub(crate) fn has_bf16(&self) -> bool {
        ["amx_bf16", "avx512_bf16"]
            .iter()
            .any(|name| self.extensions.contains(name))
    }
}

fn field<'a>(cpu_info: &'a str, name: &str) -> Option<&'a str> {
    let line = cpu_info.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn extensions(flags: &str) -> Vec<&'static str> {
    const KNOWN: [&str; 6] = [
        "avx2",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "amx_bf16",
        "amx_int8",
    ];
    let flags: Vec<_> = flags.split(' ').collect();
    KNOWN
        .into_iter()
        .filter(|name| flags.contains(name))
        .collect()
}

fn read_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn memory_of_host() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_described_by_its_flags() {
        let text = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16\n";
        assert_eq!(field(text, "model name"), Some("Some CPU"));
        assert_eq!(
            extensions(field(text, "flags").unwrap()),
            ["avx2", "amx_bf16"]
        );
    }

    #[test]
    fn this_host_has_a_core_and_memory() {
        let host = Host::detect();
        assert!(host.host_cores >= host.cores.get());
        assert!(host.memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
    }
}
