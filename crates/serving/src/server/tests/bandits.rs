//! Bandits of a whole server in virtual time: real requests, real feedback, periods without
//! waiting.

use contract::{
    Bandit, Feedback, FeedbackTarget, FeedbackValue, NamedTensor, RequestId, Rollouts, Split,
    Tensor, UnitSource,
};

use super::*;
use crate::fake_engine::INPUT;

const PERIOD: Duration = Duration::from_secs(300);

/// A server of model `a` with two versions, and the number of its requests.
struct BanditSimulation {
    repository: TestRepository,
    server: Arc<Server>,
    n_asked: u64,
}

impl BanditSimulation {
    async fn new(files: &[(&str, &str)]) -> Self {
        let repository = TestRepository::new(files);
        let server = repository.server().await;
        Self {
            repository,
            server,
            n_asked: 0,
        }
    }

    /// Sends requests of users who never come back and reports the rewards: `rates` of 100 to each
    /// arm, by its version.
    async fn play(&mut self, n: u64, rates: [u64; 2]) {
        for _ in 0..n {
            self.n_asked += 1;
            let id = format!("{}", self.n_asked);
            let route = self
                .server
                .route_for(&target("a", ""), &User(id.clone()))
                .unwrap();
            let index = usize::from(route.info.version.as_str() == "2");
            self.server.infer(route, numbered(&id)).await.unwrap();
            // 37 is prime to 100, so that each hundred of requests has every rest once.
            let is_good = self.n_asked * 37 % 100 < rates[index];
            let feedback = Feedback {
                model: None,
                target: FeedbackTarget::Request(id),
                value: FeedbackValue::Reward(f64::from(u8::from(is_good))),
            };
            let taken = self.server.feedback(&[feedback]);
            assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        }
    }

    /// Lets a period end.
    async fn period(&self) {
        tokio::time::sleep(PERIOD + Duration::from_millis(1)).await;
    }

    /// The weights in force, in the order of the split.
    fn weights(&self) -> Vec<f64> {
        let results = self.server.model(&name("a")).unwrap().routing.results;
        results.iter().map(|result| result.weight).collect()
    }

    fn propensity(&self, user: &str) -> Option<(Bytes, Bytes)> {
        let route = self
            .server
            .route_for(&target("a", ""), &User(user.to_owned()))
            .unwrap();
        route.served_by.arm.zip(route.served_by.propensity)
    }
}

fn numbered(id: &str) -> InferRequest {
    let tensor = Tensor::from_values(contract::Shape::new(&[1, 2]), vec![0.0_f32; 2]).unwrap();
    let input = NamedTensor {
        name: INPUT.to_owned(),
        tensor,
    };
    InferRequest::new(RequestId::new(id), vec![input])
}

/// Two arms, the candidate first, whose weights follow the rewards.
fn bandit() -> Split {
    Split {
        bandit: Some(Bandit::default()),
        ..halves("2", "1")
    }
}

#[tokio::test(start_paused = true)]
async fn the_weights_follow_the_rewards_at_the_end_of_each_period() {
    let mut simulation = BanditSimulation::new(&TWO_VERSIONS).await;
    change(&simulation.server, Change::Split(bandit()))
        .await
        .unwrap();
    simulation.play(600, [10, 16]).await;
    assert_eq!(
        simulation.weights(),
        [0.5, 0.5],
        "weights are frozen in a period"
    );
    let before: Vec<_> = assignments(&simulation.server);
    simulation.period().await;
    let first = simulation.weights();
    assert!(first[0] > 0.8, "{first:?}");
    assert!((first.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{first:?}");
    let after = assignments(&simulation.server);
    let left = before.iter().zip(&after);
    let n_left = left.filter(|(before, after)| before.0 == "2" && after.0 == "1");
    assert_eq!(n_left.count(), 0, "the first arm only gains users");
    simulation.play(600, [10, 60]).await;
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.99, 0.01], "the floor remains");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_stays_and_the_arms_go_on_counting() {
    let mut simulation = BanditSimulation::new(&TWO_VERSIONS).await;
    let set = change(&simulation.server, Change::Split(bandit()))
        .await
        .unwrap();
    simulation.play(600, [10, 30]).await;
    simulation.period().await;
    let routing = simulation.server.model(&name("a")).unwrap().routing;
    assert_eq!(routing.split, Some(bandit()));
    assert_eq!(routing.generation, set.generation);
    assert_eq!(
        history(&simulation.server).await.len(),
        3,
        "an unchanged split adds no history"
    );
    let n_rewards = routing.results.iter().map(|result| result.reward.n);
    assert_eq!(n_rewards.sum::<u64>(), 600);
    assert!(!routing.sample_ratio.unwrap().is_mismatch);
    // A split that is set again unchanged continues, too.
    change(&simulation.server, Change::Split(bandit()))
        .await
        .unwrap();
    assert!(simulation.weights()[0] > 0.9);
    // A different one starts over.
    let mut other = bandit();
    other.salt = Some("other".to_owned());
    change(&simulation.server, Change::Split(other))
        .await
        .unwrap();
    assert_eq!(simulation.weights(), [0.5, 0.5]);
}

#[tokio::test(start_paused = true)]
async fn nothing_moves_with_too_few_rewards_or_without_a_bandit() {
    let mut simulation = BanditSimulation::new(&TWO_VERSIONS).await;
    change(&simulation.server, Change::Split(bandit()))
        .await
        .unwrap();
    simulation.play(150, [0, 100]).await;
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.5, 0.5]);
    simulation.play(150, [0, 100]).await;
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.99, 0.01]);
    change(&simulation.server, Change::Split(halves("2", "1")))
        .await
        .unwrap();
    simulation.play(600, [0, 100]).await;
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.5, 0.5]);
    assert_eq!(simulation.propensity("user_1"), None);
}

#[tokio::test(start_paused = true)]
async fn replies_tell_the_probability_of_their_arm() {
    let mut simulation = BanditSimulation::new(&TWO_VERSIONS).await;
    let mut split = bandit();
    split.unit.source = UnitSource::Random;
    change(&simulation.server, Change::Split(split))
        .await
        .unwrap();
    assert_eq!(simulation.propensity("any").unwrap().1, "0.5");
    simulation.play(600, [10, 16]).await;
    simulation.period().await;
    let weights = simulation.weights();
    for _ in 0..100 {
        let (arm, propensity) = simulation.propensity("any").unwrap();
        let weight = weights[usize::from(arm == "1")];
        assert_eq!(propensity, weight.to_string());
        assert!(propensity.len() <= "0.123456".len(), "{propensity:?}");
    }
    let named = simulation
        .server
        .route_for(&target("a", "1"), &User(String::new()));
    assert_eq!(named.unwrap().served_by.propensity, None);
}

#[tokio::test(start_paused = true)]
async fn a_split_of_the_file_is_a_bandit_too_and_a_restart_begins_at_its_weights() {
    let settings = "traffic: {split: [{version: 2, weight: 0.5}, {version: 1, weight: 0.5}], \
                    bandit: {period: 10m, floor: 0.05}}";
    let mut files = TWO_VERSIONS.to_vec();
    files.push(("a/model.yaml", settings));
    let mut simulation = BanditSimulation::new(&files).await;
    simulation.play(600, [0, 100]).await;
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.5, 0.5], "half of the period");
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.95, 0.05]);
    simulation.server = simulation.repository.server().await;
    assert_eq!(simulation.weights(), [0.5, 0.5]);
}

#[tokio::test(start_paused = true)]
async fn nothing_moves_while_a_rollout_decides_and_a_period_begins_afterwards() {
    let mut simulation = BanditSimulation::new(&TWO_VERSIONS).await;
    let file = "rollout: {id: r, model: a, stable: 1, candidate: 2, strategy: ab, steps: [50], \
                warmup: {source: none}, soak: 5s, step: {max_time: 1h}}";
    simulation.server.start(file, "ada").await.unwrap();
    let settings = "traffic: {split: [{version: 2, weight: 0.4}, {version: 1, weight: 0.6}], \
                    bandit: true}";
    simulation.repository.write("a/model.yaml", settings);
    simulation.server.rescan().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    simulation.play(600, [0, 100]).await;
    simulation.period().await;
    simulation.period().await;
    assert_eq!(simulation.weights(), [0.5, 0.5], "those of the rollout");
    assert_eq!(simulation.propensity("user_1"), None);
    let action = contract::OperatorAction {
        kind: contract::ActionKind::Abort,
        actor: "ada".to_owned(),
        reason: "enough".to_owned(),
        generation: None,
    };
    simulation.server.apply_action("r", action).await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    simulation.play(600, [0, 100]).await;
    assert_eq!(simulation.weights(), [0.4, 0.6]);
    tokio::time::sleep(Duration::from_secs(190)).await;
    assert_eq!(simulation.weights(), [0.4, 0.6]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(simulation.weights(), [0.99, 0.01]);
}
