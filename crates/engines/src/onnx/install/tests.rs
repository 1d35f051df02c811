//! Installation with a Python that is a shell script: the installed files, and those after a
//! failure.

use tempfile::TempDir;

use super::super::probe::ProviderReport;
use super::*;

/// A script of the fixtures. They are files of the repository because a script that a test has
/// just written may be busy while another test starts a process.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

struct Host {
    folder: TempDir,
    request: InstallRequest,
}

impl Host {
    fn new(flavor: Flavor) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = InstallRequest {
            flavor,
            version: None,
            python: fixture("python-with-pip"),
            data_folder: folder.path().join("data"),
        };
        Self { folder, request }
    }

    fn install(&self, providers: Providers<'_>) -> Result<Installed> {
        let probe = |library: &Path| Ok(report(library, providers));
        install(&self.request, &probe, &mut |_| {})
    }

    fn recorded(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Lists the folder of the runtimes.
    fn names(&self) -> Vec<String> {
        let root = self.request.data_folder.join("onnxruntime");
        let entries = fs::read_dir(root).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn report(library: &Path, providers: Providers<'_>) -> ProbeReport {
    ProbeReport {
        library: library.to_owned(),
        version: "1.32.0".to_owned(),
        build: String::new(),
        providers: providers
            .iter()
            .map(|&(name, error)| ProviderReport {
                name: name.to_owned(),
                error: error.map(str::to_owned),
            })
            .collect(),
    }
}

/// Names of providers, each with the result of its test.
type Providers<'a> = &'a [(&'a str, Option<&'a str>)];

const CPU: [(&str, Option<&str>); 1] = [("cpu", None)];

#[test]
fn libraries_and_licences_are_kept_and_become_current() {
    let host = Host::new(Flavor::Cpu);
    let mut steps = Vec::new();
    let probe = |library: &Path| Ok(report(library, &CPU));
    let made = install(&host.request, &probe, &mut |step| steps.push(step)).unwrap();
    let download = InstallStep::Download {
        package: "onnxruntime",
        version: "1.32.0".to_owned(),
    };
    let rest = [
        InstallStep::Unpack,
        InstallStep::Probe,
        InstallStep::Activate,
    ];
    assert_eq!(steps, [&[download][..], &rest].concat());
    let files: Vec<_> = made.files.keys().map(String::as_str).collect();
    let expected = [
        "LICENSE",
        "libonnxruntime.so.1.32.0",
        "libonnxruntime_providers_shared.so",
    ];
    assert_eq!(files, expected);
    assert_eq!(made.files["LICENSE"], SHA256_OF_LICENCE);
    assert_eq!(host.names(), ["cpu-1.32.0", "current"]);
    assert_eq!(installed(&host.request.data_folder), [made]);
    let current = host.request.data_folder.join("onnxruntime/current");
    assert!(library_in(&current).unwrap().exists());
}

/// Of the word `licence` and a line end.
const SHA256_OF_LICENCE: &str = "fcfb4896e3778b786f8b40630224460ec5b576223b014bd4f13bc22a01b5d024";

#[test]
fn pip_gets_only_the_package_and_checks_the_file_of_a_pinned_version() {
    let host = Host::new(Flavor::Cpu);
    host.install(&CPU).unwrap();
    let calls = host.recorded("calls");
    for part in [
        "-m pip install --no-deps --only-binary=:all: --no-compile",
        "--require-hashes",
    ] {
        assert!(calls.contains(part), "{part} is not in {calls}");
    }
    let requirement = host.recorded("requirements");
    assert!(
        requirement.starts_with("onnxruntime==1.32.0 --hash=sha256:"),
        "{requirement}"
    );
}

#[test]
fn another_version_is_asked_for_plainly() {
    let mut host = Host::new(Flavor::Cpu);
    host.request.version = Some("1.30.1".to_owned());
    host.install(&CPU).unwrap();
    let calls = host.recorded("calls");
    assert!(calls.trim_end().ends_with("onnxruntime==1.30.1"), "{calls}");
    host.request.version = Some("1.30 --index-url x".to_owned());
    let error = host.install(&CPU).unwrap_err();
    assert!(error.message().contains("is not a version"), "{error}");
}

#[test]
fn a_failure_leaves_what_was_installed_as_it_was() {
    let mut host = Host::new(Flavor::Cpu);
    let before = host.install(&CPU).unwrap();
    host.request.version = Some("1.30.1".to_owned());
    let failing = |_: &Path| Err(failed("no glibc".to_owned()));
    let error = install(&host.request, &failing, &mut |_| {}).unwrap_err();
    assert_eq!(error.message(), "no glibc");
    host.request.python = fixture("python-without-pip");
    let error = host.install(&CPU).unwrap_err();
    assert!(error.message().contains("No module named pip"), "{error}");
    assert_eq!(host.names(), ["cpu-1.32.0", "current"]);
    assert_eq!(installed(&host.request.data_folder), [before]);
}

#[test]
fn installing_again_replaces_and_the_latest_is_current() {
    let mut host = Host::new(Flavor::Cpu);
    host.install(&CPU).unwrap();
    host.request.version = Some("1.30.1".to_owned());
    host.install(&CPU).unwrap();
    host.install(&CPU).unwrap();
    assert_eq!(host.names(), ["cpu-1.30.1", "cpu-1.32.0", "current"]);
    let current: Vec<_> = installed(&host.request.data_folder)
        .into_iter()
        .map(|found| (found.version, found.is_current))
        .collect();
    let expected = [("1.30.1".to_owned(), true), ("1.32.0".to_owned(), false)];
    assert_eq!(current, expected);
}

#[test]
fn the_provider_of_the_flavor_must_be_there_and_work_where_it_can() {
    let cases: [(Flavor, Providers<'_>, Option<&str>); 6] = [
        (Flavor::Cpu, &[("cpu", Some("bad"))], Some("`cpu`")),
        (
            Flavor::OpenVino,
            &[("cpu", None)],
            Some("has no provider `openvino`"),
        ),
        (
            Flavor::OpenVino,
            &[("cpu", None), ("openvino", Some("no zlib"))],
            Some("no zlib"),
        ),
        (Flavor::OpenVino, &[("cpu", None), ("openvino", None)], None),
        (
            Flavor::Cuda,
            &[("cpu", None), ("cuda", Some("no driver"))],
            None,
        ),
        (
            Flavor::Cuda,
            &[("cpu", None)],
            Some("has no provider `cuda`"),
        ),
    ];
    let mut wrong = Vec::new();
    for (flavor, providers, expected) in cases {
        let error = check_report(flavor, &report(Path::new("x"), providers)).err();
        let message = error.map(|error| error.to_string());
        let fits = match (&message, expected) {
            (None, None) => true,
            (Some(text), Some(part)) => text.contains(part),
            _ => false,
        };
        if !fits {
            wrong.push((flavor, message));
        }
    }
    assert_eq!(wrong, []);
}

#[test]
fn flavors_are_known_by_name_and_have_a_file_for_this_kind_of_host() {
    for flavor in Flavor::ALL {
        assert_eq!(Flavor::from_name(flavor.name()), Some(flavor));
        let wheel = wheel::pinned(flavor, "linux", "x86_64").unwrap();
        assert_eq!(wheel.sha256.len(), 64);
        assert_eq!(wheel::pinned(flavor, "plan9", "x86_64"), None);
    }
    assert_eq!(Flavor::from_name("tpu"), None);
}
