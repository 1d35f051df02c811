//! Simulated users: a few of them send most of the requests, and failures may belong to users.
//!
//! Inputs: the number of users and the exponent of a Zipf distribution of their requests; for each
//! metric and arm, the share of users whose requests have the event regularly, and the rate of all
//! others. Rule: a request belongs to user k with a probability proportional to k^-s. Which users
//! have an event regularly is drawn once per population and metric, the same ones in both arms, so
//! that both versions fail for the same inputs. The arm of a user is drawn by a hash of the user
//! and the epoch, without memory, as the server does.
//!
//! Cold start, recovery: none; the generator never learns. Rejected alternative: counts per tick
//! from binomial distributions, which say that requests are independent; with 1 % of users who
//! always fail, a third of the healthy candidates may be rolled back in life and none in such a
//! simulation.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
use rand_pcg::Pcg64Mcg;

/// The users of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UserAssumptions {
    /// The number of users.
    pub n_users: u32,
    /// The exponent s of the Zipf distribution; 0 when all users send as many requests.
    pub zipf_exponent: f64,
}

/// The requests of one arm that have an event of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EventPattern {
    /// The share of users who have the event regularly.
    pub user_share: f64,
    /// These users have it in every `every`-th request; 1 for all of them.
    pub every: u32,
    /// The rate of the event in all other requests.
    pub base_rate: f64,
}

/// The patterns of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArmPatterns {
    /// The requests that stable answers.
    pub stable: EventPattern,
    /// The requests that the candidate answers.
    pub candidate: EventPattern,
}

/// The users, and which of them have which events.
#[derive(Debug)]
pub struct Population {
    n_users: u32,
    /// The index of the user who sends a request.
    users: WeightedAliasIndex<f64>,
    metrics: Vec<MetricUsers>,
}

#[derive(Debug)]
struct MetricUsers {
    patterns: ArmPatterns,
    /// The position of each user in a random order; those at the front have the event regularly.
    positions: Vec<u32>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The fingerprint of the user.
    pub fingerprint: u64,
    /// The candidate is the assigned arm.
    pub is_candidate: bool,
    /// The events of the request, in the order of the metrics.
    pub events: Vec<bool>,
}

impl Population {
    /// Creates the users of a model with these metrics; `None` without users, and for an exponent
    /// that is not a number.
    #[must_use]
    pub fn new(assumptions: UserAssumptions, metrics: &[ArmPatterns], seed: u64) -> Option<Self> {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let ranks = (1..=assumptions.n_users).map(f64::from);
        let weights = ranks.map(|rank| rank.powf(-assumptions.zipf_exponent));
        let users = WeightedAliasIndex::new(weights.collect()).ok()?;
        let metrics = metrics.iter().map(|&patterns| {
            let mut positions: Vec<_> = (0..assumptions.n_users).collect();
            positions.shuffle(&mut random);
            MetricUsers {
                patterns,
                positions,
            }
        });
        Some(Self {
            n_users: assumptions.n_users,
            metrics: metrics.collect(),
            users,
        })
    }
}

impl MetricUsers {
    /// Draws whether a request has the event, the user's first one being number 0.
    fn has_event(
        &self,
        user: usize,
        number: u32,
        is_candidate: bool,
        random: &mut Pcg64Mcg,
    ) -> bool {
        let pattern = match is_candidate {
            true => self.patterns.candidate,
            false => self.patterns.stable,
        };
        let n_regular = (pattern.user_share * self.positions.len() as f64).round();
        let position = self.positions.get(user).copied().unwrap_or(u32::MAX);
        if f64::from(position) >= n_regular {
            return random.random::<f64>() < pattern.base_rate;
        }
        // The position spreads the first event of the users over their first requests.
        let every = pattern.every.max(1);
        number.wrapping_add(position) % every == 0
    }
}

/// The requests of one run.
#[derive(Debug)]
pub struct Requests<'a> {
    population: &'a Population,
    random: Pcg64Mcg,
    salt: u64,
    /// The number of requests of each user so far.
    numbers: Vec<u32>,
}

impl<'a> Requests<'a> {
    /// Starts a run; with another seed, users have other fingerprints and other arms.
    #[must_use]
    pub fn new(population: &'a Population, seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        Self {
            population,
            salt: random.random(),
            numbers: vec![0; population.n_users as usize],
            random,
        }
    }

    /// Draws a request at this weight of the candidate. Within an epoch a user moves only towards
    /// the candidate, when its weight grows; without an epoch each request has its own arm.
    pub fn draw(&mut self, weight: f64, epoch: Option<u64>) -> Observation {
        let user = self.population.users.sample(&mut self.random);
        let fingerprint = generator(self.salt ^ user as u64).random();
        let bucket: f64 = match epoch {
            Some(epoch) => generator(fingerprint ^ epoch.rotate_left(32)).random(),
            None => self.random.random(),
        };
        let is_candidate = bucket < weight;
        let number = self.numbers.get_mut(user);
        let number = number.map_or(0, |number| {
            std::mem::replace(number, number.wrapping_add(1))
        });
        let metrics = self.population.metrics.iter();
        let events =
            metrics.map(|metric| metric.has_event(user, number, is_candidate, &mut self.random));
        Observation {
            fingerprint,
            is_candidate,
            events: events.collect(),
        }
    }
}

/// Returns a generator whose numbers depend on `seed` alone, which makes it a hash of it.
fn generator(seed: u64) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(seed)
}

#[cfg(test)]
mod tests;
