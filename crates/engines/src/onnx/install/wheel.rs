//! The packages that hold the library, and the exact files of a pinned version.
//!
//! Decision: a pinned version always uses the wheel for one Python version, whatever Python runs
//! pip: only its shared library is used, which needs no Python. So every host gets the same file,
//! and one checksum per processor covers it.

contract::named_enum! {
    /// A build of ONNX Runtime.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Flavor {
        /// Runs on every processor.
        Cpu = "cpu",
        /// Also has the OpenVINO provider, the fastest one on Intel processors.
        OpenVino = "openvino",
        /// Also has the CUDA provider. The host or its image supplies CUDA and cuDNN.
        Cuda = "cuda",
    }
    /// Returns the name, which is that of the fastest provider.
    fn name
}

impl Flavor {
    /// Returns the flavor with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flavor| flavor.name() == name)
    }

    /// Returns the Python package that contains the library.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Cpu => "onnxruntime",
            Self::OpenVino => "onnxruntime-openvino",
            Self::Cuda => "onnxruntime-gpu",
        }
    }

    /// Returns the version that Lockgate is tested with and installs by default.
    #[must_use]
    pub const fn pinned_version(self) -> &'static str {
        match self {
            Self::Cpu => "1.32.0",
            Self::OpenVino => "1.24.1",
            Self::Cuda => "1.31.1",
        }
    }

    /// Returns whether the fastest provider must work on the host that installs it. An image for
    /// machines with a GPU is often built on a machine without one.
    pub(super) const fn must_work_here(self) -> bool {
        match self {
            Self::Cpu | Self::OpenVino => true,
            Self::Cuda => false,
        }
    }
}

/// One file of a pinned version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wheel {
    flavor: Flavor,
    architecture: &'static str,
    /// The platform tag for pip.
    pub(super) platform: &'static str,
    pub(super) sha256: &'static str,
}

const WHEELS: [Wheel; 4] = [
    Wheel {
        flavor: Flavor::Cpu,
        architecture: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
    },
    Wheel {
        flavor: Flavor::Cpu,
        architecture: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
    },
    Wheel {
        flavor: Flavor::OpenVino,
        architecture: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
    },
    Wheel {
        flavor: Flavor::Cuda,
        architecture: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
    },
];

/// Returns the file of the pinned version for a system and a processor, named as in the standard
/// library.
pub(super) fn pinned(flavor: Flavor, system: &str, architecture: &str) -> Option<Wheel> {
    let fits = |wheel: &Wheel| wheel.flavor == flavor && wheel.architecture == architecture;
    WHEELS
        .into_iter()
        .find(|wheel| system == "linux" && fits(wheel))
}
