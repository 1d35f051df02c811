//! Scenario files: settings and events above a line of dashes, the outcomes below.
//!
//! Times are milliseconds. Events of one moment happen in the order of the file, before batches
//! that end at that moment.

use std::collections::HashMap;
use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use contract::Tensor;

use super::super::types::{Limits, QueueLimit};
use super::player::{Cost, Event, Outcome, Player, millis};
use crate::batch::join::RowLayout;
use crate::batch::queue::QueuedRequest;

/// Plays the part above the dashes and writes the outcomes.
pub(super) fn play(script: &str) -> String {
    let is_event = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let lines = script.lines().filter(|line| !line.starts_with('#'));
    let (events, settings): (Vec<_>, Vec<_>) = lines.partition(is_event);
    let settings: HashMap<_, _> = settings
        .iter()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let mut player = player(&settings);

    let mut names = Vec::new();
    for line in events {
        let (at, event) = parse_event(&player, &mut names, line);
        player.schedule(at, event);
    }
    let mut trace = String::new();
    player.play(&mut |now, outcome| {
        let list = |batch: Vec<QueuedRequest<usize>>| {
            let members: Vec<_> = batch.iter().map(|waiting| names[waiting.request]).collect();
            members.join(" ")
        };
        let text = match outcome {
            Outcome::Run(batch, _) => format!("run {}", list(batch)),
            Outcome::Drop(dropped) => format!("drop {}", list(dropped)),
            Outcome::Displace(displaced) => format!("displace {}", list(displaced)),
            Outcome::Refuse(number, refusal) => format!("refuse {}: {refusal}", names[number]),
            Outcome::GiveBack(left) => format!("instance lost, gives back {}", list(left)),
            Outcome::Seen(seen) => format!(
                "level {}, predicted {} ms",
                seen.admission_level.number(),
                seen.predicted_wait.unwrap_or_default().as_millis()
            ),
            Outcome::End => "end".to_owned(),
        };
        writeln!(trace, "{} {}", now.as_secs_f64() * 1000.0, text.trim_end()).unwrap();
    });
    trace
}

fn player(settings: &HashMap<&str, &str>) -> Player {
    let number = |key: &str, default| settings.get(key).map_or(default, |text| parse(text));
    let time = |key: &str| settings.get(key).map(|text| millis(parse(text)));
    let learned = settings.get("max_queue_rows") == Some(&"learned");
    let limits = Limits {
        max_rows: number("max_rows", 1),
        max_delay: match settings.get("max_delay") {
            Some(&"automatic") => None,
            Some(_) => time("max_delay"),
            None => Some(Duration::ZERO),
        },
        queue: match learned {
            true => QueueLimit::Learned { at_most: 1000 },
            false => QueueLimit::Fixed(number("max_queue_rows", 1000)),
        },
        time_limit: time("time_limit"),
        n_instances: number("instances", 1),
    };
    let (fixed, per_row) = settings["run"]
        .split_once(" + ")
        .expect("`run FIXED + PER_ROW`");
    let (per_row, is_known) = match per_row.split_once(" known") {
        Some((per_row, _)) => (per_row, true),
        None => (per_row, false),
    };
    let cost = Cost {
        per_row_millis: parse(per_row),
        fixed_millis: parse(fixed),
        jitter: 0.0,
        is_known,
    };
    Player::new(limits, cost)
}

/// Reads `TIME arrive NAME key=value...` and its like.
fn parse_event<'a>(player: &Player, names: &mut Vec<&'a str>, line: &'a str) -> (Duration, Event) {
    let mut words = line.split_whitespace();
    let at = millis(parse(words.next().unwrap()));
    let event = match (words.next(), words.next()) {
        (Some("arrive"), Some(name)) => {
            names.push(name);
            let fields = words.filter_map(|word| word.split_once('=')).collect();
            Event::Arrive(request(player, at, names.len() - 1, &fields))
        }
        (Some("cancel"), Some(name)) => {
            Event::Cancel(names.iter().position(|known| *known == name).unwrap())
        }
        (Some("lose"), None) => Event::Lose,
        (Some("close"), None) => Event::Close,
        (Some("look"), None) => Event::Look,
        _ => panic!("no event: {line}"),
    };
    (at, event)
}

fn request(
    player: &Player,
    at: Duration,
    number: usize,
    fields: &HashMap<&str, &str>,
) -> QueuedRequest<usize> {
    let field = |key: &str, default| fields.get(key).map_or(default, |text| parse(text));
    QueuedRequest {
        n_rows: field("rows", 1),
        layout: layout(field("kind", 1)),
        priority: u32::try_from(field("priority", 0)).unwrap(),
        arrived: player.at(at),
        deadline: fields
            .get("deadline")
            .map(|text| player.at(millis(parse(text)))),
        request: number,
    }
}

/// One layout for each kind; requests of kind 0 run alone.
pub(super) fn layout(kind: usize) -> Option<RowLayout> {
    let row = Tensor::from_values([1, kind].into(), vec![0_u8; kind]).unwrap();
    (kind > 0).then(|| RowLayout::of(&[Some(row)]))
}

fn parse<T: FromStr>(text: &str) -> T {
    let parsed = text.trim().parse().ok();
    parsed.unwrap_or_else(|| panic!("no number: {text:?}"))
}
