//! Medians and ratios.

use super::*;

fn run(server_name: Contender, n_connections: usize, requests_per_second: f64) -> Run {
    Run {
        server_name: server_name.to_string(),
        n_connections,
        requests_per_second,
        p50_us: 1e6 / requests_per_second,
        p99_us: 2e6 / requests_per_second,
        cpu_us_per_request: 10.0,
        memory_mb: 50.0,
        first_reply_ms: 100.0,
    }
}

fn figures(runs: Vec<Run>) -> Figures {
    let round = Round {
        runs,
        ..Round::default()
    };
    Figures::of("case", &[round])
}

#[test]
fn a_median_is_the_middle() {
    let table = [
        (vec![], 0.0),
        (vec![3.0], 3.0),
        (vec![4.0, 1.0], 2.5),
        (vec![9.0, 1.0, 2.0], 2.0),
        (vec![9.0, 1.0, 2.0, 4.0], 3.0),
    ];
    let wrong: Vec<_> = table
        .into_iter()
        .filter(|(values, expected)| median(values.clone()) != *expected)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn ratios_are_of_medians_at_the_same_connections() {
    let figures = figures(vec![
        run(Contender::Echo, 64, 90_000.0),
        run(Contender::Fastapi, 64, 5_000.0),
        run(Contender::Lockgate, 64, 40_000.0),
        run(Contender::Echo, 1, 10_000.0),
        run(Contender::Echo, 64, 100_000.0),
        run(Contender::Fastapi, 64, 4_000.0),
        run(Contender::Lockgate, 64, 55_000.0),
        run(Contender::Echo, 64, 200_000.0),
        run(Contender::Fastapi, 64, 5_000.0),
        run(Contender::Lockgate, 64, 50_000.0),
    ]);
    let found: Vec<_> = figures
        .rows
        .iter()
        .map(|row| (row.median.n_connections, row.of_echo, row.of_fastapi))
        .collect();
    let expected = [
        (1, Some(1.0), None),
        (64, Some(1.0), Some(20.0)),
        (64, Some(0.05), Some(1.0)),
        (64, Some(0.5), Some(10.0)),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        (figures.rows[3].slowest, figures.rows[3].fastest),
        (40_000.0, 55_000.0)
    );
    let ratio = figures.rate_ratio(Contender::Lockgate, Contender::Echo, 64);
    assert_eq!(ratio, Some(0.5));
}

#[test]
fn without_an_echo_there_is_no_ratio_to_it() {
    let figures = figures(vec![run(Contender::Lockgate, 8, 30_000.0)]);
    assert_eq!(figures.rows[0].of_echo, None);
    assert_eq!(
        figures.rate_ratio(Contender::Lockgate, Contender::Echo, 8),
        None
    );
    assert_eq!(
        figures.added_us(Contender::Lockgate, Contender::Echo, 8),
        None
    );
}

#[test]
fn the_grpc_echo_is_an_echo() {
    let figures = figures(vec![
        run(Contender::GrpcEcho, 64, 20_000.0),
        run(Contender::Lockgate, 64, 15_000.0),
    ]);
    assert_eq!(figures.rows[1].of_echo, Some(0.75));
}

#[test]
fn added_time_is_a_difference_of_medians() {
    let figures = figures(vec![
        run(Contender::Echo, 1, 10_000.0),
        run(Contender::Lockgate, 1, 5_000.0),
    ]);
    assert_eq!(
        figures.added_us(Contender::Lockgate, Contender::Echo, 1),
        Some(100.0)
    );
}

#[test]
fn numbers_are_medians_of_rounds_and_keep_their_order() {
    let rounds: Vec<_> = [3.0, 1.0, 2.0]
        .into_iter()
        .map(|value| {
            let mut round = Round::default();
            round.set("zebra", Unit::Count, value);
            round.set("ant", Unit::Count, 2.0 * value);
            round.notes.push("the same".to_owned());
            round
        })
        .collect();
    let figures = Figures::of("case", &rounds);
    let names: Vec<_> = figures
        .values
        .iter()
        .map(|value| value.name.as_str())
        .collect();
    assert_eq!(names, ["zebra", "ant"]);
    assert_eq!(figures.value("ant"), Some(4.0));
    assert_eq!(figures.quotient("ant", "zebra"), Some(2.0));
    assert_eq!(figures.value("bee"), None);
    assert_eq!(figures.notes.len(), 1);
}

#[test]
fn the_order_of_rounds_changes_no_median() {
    let rounds: Vec<_> = [40_000.0, 55_000.0, 50_000.0, 45_000.0]
        .into_iter()
        .map(|rate| {
            let mut round = Round {
                runs: vec![run(Contender::Lockgate, 8, rate)],
                ..Round::default()
            };
            round.set("a number", Unit::Count, rate);
            round
        })
        .collect();
    let turned: Vec<_> = rounds.iter().rev().cloned().collect();
    let (forth, back) = (Figures::of("case", &rounds), Figures::of("case", &turned));
    assert_eq!(forth.rows, back.rows);
    assert_eq!(forth.values, back.values);
    let row = &forth.rows[0];
    assert_eq!(row.median.requests_per_second, 47_500.0);
    assert!(row.slowest <= row.median.requests_per_second);
    assert!(row.fastest >= row.median.requests_per_second);
}

#[test]
fn one_round_that_waives_its_goals_waives_them_all() {
    let waived = Round {
        waiver: Some("no AMX".to_owned()),
        ..Round::default()
    };
    let figures = Figures::of("case", &[Round::default(), waived]);
    assert_eq!(figures.waiver.as_deref(), Some("no AMX"));
    assert_eq!(Figures::of("case", &[Round::default()]).waiver, None);
}

#[test]
fn a_contender_at_other_connections_is_another_row() {
    let figures = figures(vec![
        run(Contender::Lockgate, 64, 50_000.0),
        run(Contender::Lockgate, 1, 10_000.0),
    ]);
    assert_eq!(figures.rate(Contender::Lockgate, 64), Some(50_000.0));
    assert_eq!(figures.rate(Contender::Lockgate, 1), Some(10_000.0));
    assert_eq!(figures.rate(Contender::Lockgate, 8), None);
    let order: Vec<_> = figures
        .rows
        .iter()
        .map(|row| row.median.n_connections)
        .collect();
    assert_eq!(order, [1, 64]);
}
