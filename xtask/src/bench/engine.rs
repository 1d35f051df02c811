//! Cases dominated by the engine or the decoder: convolutional networks, OpenVINO, large JSON.
//!
//! Decision: the reference for a large model is ONNX Runtime alone, in one process and with the
//! best layout of threads, so that the server can only be slower.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::contender::Contender;
use super::figures::Round;
use super::generator::last_line;
use super::launch::Launch;
use super::measure::{Bench, Skip};
use super::repository::Model;
use super::request::{Request, Tensor};
use super::unit::Unit;

pub(super) const BEST_LOOP: &str = "best in-process loop, rows/s";
pub(super) const OPENVINO: &str = "Lockgate, OpenVINO in bf16";
pub(super) const OWN_PROVIDER: &str = "Lockgate, ONNX Runtime's own provider";
pub(super) const SERDE: &str = "serde_json into nested vectors, median";
pub(super) const OWN_DECODING: &str = "JSON beyond binary, each beyond its echo, medians";

/// Pixels of a side of the pictures.
const SIDE: usize = 224;

/// Measures a network with default settings, compared with ONNX Runtime alone in one process.
pub(super) fn beside_loop(bench: &Bench, network: &'static str, n: usize) -> Result<Round> {
    let mut round = Round::default();
    let mut best = Layout::default();
    for layout in in_process(bench, network)? {
        let name = format!("in process: {}, batch {}", layout.layout, layout.n_rows);
        round.set(
            format!("{name}, rows/s"),
            Unit::Count,
            layout.rows_per_second,
        );
        if layout.rows_per_second > best.rows_per_second {
            best = layout;
        }
    }
    round.set(BEST_LOOP, Unit::Count, best.rows_per_second);
    let tensor = Tensor::picture(network, SIDE);
    let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
    let models = bench.repository(Model::network(&bench.artifacts, network))?;
    let launch = Launch::lockgate(&bench.artifacts, &models);
    round.runs = bench.runs(&launch, &request, &[n])?;
    Ok(round)
}

/// A layout of threads with its rate.
#[derive(Debug, Default, Deserialize)]
struct Layout {
    layout: String,
    n_rows: usize,
    rows_per_second: f64,
}

fn in_process(bench: &Bench, network: &str) -> Result<Vec<Layout>> {
    let mut command = Command::new(&bench.artifacts.python);
    command
        .arg(bench.artifacts.peers.join("onnxruntime_loop.py"))
        .arg(bench.artifacts.networks.join(format!("{network}.onnx")))
        .args(["--cores", &bench.artifacts.n_cores.to_string()])
        .args(["--seconds", &bench.seconds.to_string()]);
    let output = command.output().context("cannot start Python")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    layouts(&String::from_utf8_lossy(&output.stdout))
}

fn layouts(text: &str) -> Result<Vec<Layout>> {
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("invalid layout: `{line}`")))
        .collect()
}

/// Measures ResNet-50 with the OpenVINO provider in bf16, and with ONNX Runtime's own provider.
pub(super) fn openvino(bench: &Bench) -> Result<Round> {
    let cpu_info = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let waiver = match bf16(&cpu_info) {
        Bf16::Tiles => None,
        Bf16::Vectors => Some("this CPU has avx512_bf16, not AMX".to_owned()),
        Bf16::None => bail!(Skip("this CPU does not compute in bf16".to_owned())),
    };
    let library = bench
        .artifacts
        .install("openvino", &bench.folder().join("openvino"))
        .map_err(|error| Skip(format!("OpenVINO cannot be installed: {error:#}")))?;
    let tensor = Tensor::picture("resnet50", SIDE);
    let request = Request::infer_binary(bench.folder(), &tensor, &tensor.elements())?;
    let model = Model::network(&bench.artifacts, "resnet50");
    let mut round = Round {
        waiver,
        ..Round::default()
    };
    let models = bench.repository(model.clone())?;
    let own = Launch::lockgate(&bench.artifacts, &models).labelled(OWN_PROVIDER);
    round.runs = bench.runs(&own, &request, &[4])?;
    let settings = "provider: openvino\noptions:\n  precision: bf16\n";
    let models = bench.repository(model.with_settings(settings))?;
    let openvino = Launch {
        library,
        ..Launch::lockgate(&bench.artifacts, &models).labelled(OPENVINO)
    };
    round.runs.extend(bench.runs(&openvino, &request, &[4])?);
    Ok(round)
}

/// Support of a processor for bf16.
#[derive(Debug, PartialEq, Eq)]
enum Bf16 {
    /// AMX.
    Tiles,
    /// AVX-512.
    Vectors,
    None,
}

fn bf16(cpu_info: &str) -> Bf16 {
    let flags = cpu_info.lines().find(|line| line.starts_with("flags"));
    let flags: Vec<_> = flags.unwrap_or_default().split_whitespace().collect();
    if flags.contains(&"amx_bf16") {
        return Bf16::Tiles;
    }
    match flags.contains(&"avx512_bf16") {
        true => Bf16::Vectors,
        false => Bf16::None,
    }
}

/// Measures a picture as JSON and as a binary tensor, each minus an echo of the same bytes,
/// compared with `serde_json` that only parses. The difference of the two is the parsing of
/// numbers: everything else is the same, and the network computes means of channels, which cost
/// almost nothing.
pub(super) fn decode(bench: &Bench) -> Result<Round> {
    let tensor = Tensor::picture("channel_means", SIDE);
    let elements = tensor.elements();
    let body = format!("{{\"data\":[{}]}}", nested(&elements, SIDE));
    let as_json = Request::predict(bench.folder(), "picture-json", body.as_bytes())?;
    let as_binary = Request::infer_binary(bench.folder(), &tensor, &elements)?;
    let models = bench.repository(Model::network(&bench.artifacts, "channel_means"))?;
    let mut round = Round::default();
    let mut beyond_echo_us = Vec::new();
    for (form, request) in [("JSON", &as_json), ("binary", &as_binary)] {
        let mut p50_us = Vec::new();
        for contender in [Contender::Echo, Contender::Lockgate] {
            let launch = Launch::new(&bench.artifacts, contender, &models)
                .labelled(format!("{contender}, {form}"));
            let runs = bench.runs(&launch, request, &[1])?;
            p50_us.extend(runs.iter().map(|run| run.p50_us));
            round.runs.extend(runs);
        }
        beyond_echo_us.push(difference(&p50_us).context("two contenders")?);
    }
    let mut serde = Command::new(&bench.artifacts.serde_decode);
    serde.arg("--body").arg(&as_json.body);
    serde.args(["--seconds", &bench.seconds.to_string()]);
    let line: serde_json::Value = serde_json::from_str(&last_line(&mut serde)?)?;
    let serde_us = line.get("p50_us").and_then(serde_json::Value::as_f64);
    beyond_echo_us.reverse();
    let decode_us = difference(&beyond_echo_us).context("two forms")?;
    round.set(SERDE, Unit::Microseconds, serde_us.context("its time")?);
    round.set(OWN_DECODING, Unit::Microseconds, decode_us);
    Ok(round)
}

/// Returns the second of two numbers minus the first.
fn difference(numbers: &[f64]) -> Option<f64> {
    match numbers {
        [first, second] => Some(second - first),
        _ => None,
    }
}

/// Formats one picture as nested lists, scaled for networks and with six decimals.
fn nested(elements: &[f32], side: usize) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let number = |element: &f32| format!("{:.6}", (element - 0.485) / 0.229);
    let line = |line: &[f32]| list(line.iter().map(number).collect());
    let channel = |channel: &[f32]| list(channel.chunks(side).map(line).collect());
    list(elements.chunks(side * side).map(channel).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_detected_by_the_flags() {
        let table = [
            ("flags\t: fpu amx_bf16 avx512_bf16\n", Bf16::Tiles),
            ("processor: 0\nflags\t: avx512_bf16\n", Bf16::Vectors),
            ("flags\t: avx2 amx_bf16_of_another_kind\n", Bf16::None),
            ("model name: amx_bf16\n", Bf16::None),
        ];
        let wrong: Vec<_> = table
            .into_iter()
            .filter(|(text, expected)| bf16(text) != *expected)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn pictures_are_nested_as_their_shape() {
        let text = nested(&[0.485; 12], 2);
        let picture: Vec<Vec<Vec<f32>>> = serde_json::from_str(&text).unwrap();
        assert_eq!(picture, vec![vec![vec![0.0; 2]; 2]; 3]);
        assert_eq!(nested(&[1.0], 1), "[[[2.248908]]]");
    }

    #[test]
    fn a_difference_needs_two_numbers() {
        assert_eq!(difference(&[3.0, 5.0]), Some(2.0));
        assert_eq!(difference(&[3.0]), None);
        assert_eq!(difference(&[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn a_loop_prints_a_layout_a_line() {
        let line = r#"{"layout": "1 session", "n_rows": 8, "rows_per_second": 12.5}"#;
        let found = layouts(&format!("{line}\n{line}\n")).unwrap();
        assert_eq!((found.len(), found[1].n_rows), (2, 8));
        assert!(layouts("Traceback\n").is_err());
    }
}
