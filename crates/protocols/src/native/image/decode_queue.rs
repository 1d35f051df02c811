//! Policy: admits pictures to decoding by the time that they are predicted to take.
//!
//! Input: the format and size of a picture, from its header; the time left until its deadline; the
//! pictures that wait or are being decoded; the recent times of each format.
//! Rule: a picture waits while all workers are busy, for the time of the pictures before it divided
//! by the workers, and then takes its own time. It is refused when it would be late, or without a
//! deadline when it would wait for more than four seconds, as in the queues of models.
//! Cold start: a format counts as instant until one of its pictures was decoded, so the first ones
//! are admitted; those that are late while they wait are dropped there.
//! Recovery: the times of about the last four pictures count, and of those that are refused for
//! their own time every sixteenth is decoded all the same when a worker is idle, so that a slow
//! moment cannot refuse all large pictures for ever.
//! Rejected: a limit to the number of pictures, which differ by a factor of a million; a mean of the
//! times per pixel, which a small picture with its fixed costs would dominate.

use std::collections::HashMap;
use std::time::Duration;

use image::ImageFormat;

/// The pixels of one unit of work.
const UNIT_PIXELS: usize = 1 << 10;

/// The units of a picture from which its fixed costs are small beside those of its pixels.
const MIN_TIMED_UNITS: u64 = 64;

/// The longest predicted wait of a picture without a deadline.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// The pictures whose times count.
const RECENT_PICTURES: u32 = 4;

/// The pictures refused for their own time until one is decoded to measure it again.
const REFUSALS_TO_PROBE: u32 = 15;

/// The size of one picture, for the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DecodeWork {
    format: ImageFormat,
    n_units: u64,
}

impl DecodeWork {
    /// Returns the work for a picture.
    pub(super) fn new(format: ImageFormat, n_pixels: usize) -> Self {
        Self {
            format,
            n_units: u64::try_from(n_pixels.div_ceil(UNIT_PIXELS)).unwrap_or(u64::MAX),
        }
    }
}

/// A refusal, with the predicted times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The picture alone takes longer than its deadline allows.
    TooLarge {
        /// Its decoding time.
        own: Duration,
    },
    /// Other pictures are before this one.
    Overloaded {
        /// The time until it would be decoded.
        wait: Duration,
        /// The part of that time that is too much.
        excess: Duration,
    },
}

/// The pictures that wait or are being decoded.
#[derive(Debug)]
pub(super) struct DecodeQueue {
    n_workers: u32,
    n_pictures: u32,
    formats: HashMap<ImageFormat, FormatLoad>,
}

#[derive(Debug, Default)]
struct FormatLoad {
    /// The units of the admitted pictures.
    n_admitted: u64,
    /// The units of recent pictures, older ones weighing less.
    n_recent: u64,
    /// Their time.
    recent_time: Duration,
    /// The pictures refused for their own time since the last probe.
    n_refused: u32,
}

impl FormatLoad {
    /// Returns the predicted time of `n_units`.
    fn time_of(&self, n_units: u64) -> Duration {
        let nanos = self.recent_time.as_nanos().saturating_mul(n_units.into());
        let nanos = nanos / u128::from(self.n_recent.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl DecodeQueue {
    /// Returns an empty queue of `n_workers` decoders.
    pub(super) fn new(n_workers: u32) -> Self {
        Self {
            n_workers,
            n_pictures: 0,
            formats: HashMap::new(),
        }
    }

    /// Admits a picture that has `left` until its deadline; [`DecodeQueue::remove`] ends its stay.
    pub(super) fn admit(
        &mut self,
        work: DecodeWork,
        left: Option<Duration>,
    ) -> Result<(), Refusal> {
        let wait = self.predicted_wait();
        let is_idle = self.n_pictures < self.n_workers;
        let load = self.formats.entry(work.format).or_default();
        let own = load.time_of(work.n_units);
        let wait = wait.saturating_add(own);
        let allowed = left.unwrap_or_else(|| own.saturating_add(MAX_WAIT));
        if own > allowed {
            if !is_idle || load.n_refused < REFUSALS_TO_PROBE {
                load.n_refused = load.n_refused.saturating_add(1);
                return Err(Refusal::TooLarge { own });
            }
            load.n_refused = 0;
        } else if wait > allowed {
            let excess = wait - allowed;
            return Err(Refusal::Overloaded { wait, excess });
        }
        load.n_admitted = load.n_admitted.saturating_add(work.n_units);
        self.n_pictures += 1;
        Ok(())
    }

    /// Removes an admitted picture, decoded or not.
    pub(super) fn remove(&mut self, work: DecodeWork) {
        let load = self.formats.entry(work.format).or_default();
        load.n_admitted = load.n_admitted.saturating_sub(work.n_units);
        self.n_pictures = self.n_pictures.saturating_sub(1);
    }

    /// Learns from the time that a picture took.
    pub(super) fn record(&mut self, work: DecodeWork, time: Duration) {
        if work.n_units < MIN_TIMED_UNITS {
            return;
        }
        let load = self.formats.entry(work.format).or_default();
        let n_old = load.n_recent - load.n_recent / u64::from(RECENT_PICTURES);
        load.n_recent = n_old.saturating_add(work.n_units);
        load.recent_time = (load.recent_time - load.recent_time / RECENT_PICTURES) + time;
    }

    fn predicted_wait(&self) -> Duration {
        if self.n_pictures < self.n_workers {
            return Duration::ZERO;
        }
        let loads = self.formats.values();
        let total = loads
            .map(|load| load.time_of(load.n_admitted))
            .fold(Duration::ZERO, Duration::saturating_add);
        total / self.n_workers.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn picture(n_units: usize) -> DecodeWork {
        DecodeWork::new(ImageFormat::Jpeg, n_units * UNIT_PIXELS)
    }

    /// Returns a queue in which a unit of a JPEG takes a millisecond.
    fn queue(n_workers: u32) -> DecodeQueue {
        let mut queue = DecodeQueue::new(n_workers);
        queue.record(picture(100), millis(100));
        queue
    }

    #[test]
    fn pictures_of_an_unknown_format_are_admitted() {
        let mut queue = queue(1);
        let work = DecodeWork::new(ImageFormat::Png, usize::MAX);
        assert_eq!(queue.admit(work, Some(millis(1))), Ok(()));
        assert_eq!(queue.admit(work, None), Ok(()));
    }

    #[test]
    fn a_picture_that_alone_takes_too_long_is_refused() {
        let mut queue = queue(1);
        let refused = queue.admit(picture(100), Some(millis(99)));
        assert_eq!(refused, Err(Refusal::TooLarge { own: millis(100) }));
        assert_eq!(queue.admit(picture(99), Some(millis(99))), Ok(()));
    }

    #[test]
    fn a_picture_that_others_would_make_late_is_refused() {
        let mut queue = queue(1);
        queue.admit(picture(100), None).unwrap();
        let refused = queue.admit(picture(100), Some(millis(150)));
        let expected = Refusal::Overloaded {
            wait: millis(200),
            excess: millis(50),
        };
        assert_eq!(refused, Err(expected));
        queue.remove(picture(100));
        assert_eq!(queue.admit(picture(100), Some(millis(150))), Ok(()));
    }

    #[test]
    fn workers_share_the_pictures() {
        let mut queue = queue(2);
        queue.admit(picture(100), None).unwrap();
        // The second worker is free.
        queue.admit(picture(100), Some(millis(100))).unwrap();
        queue.admit(picture(10), Some(millis(110))).unwrap();
        assert!(queue.admit(picture(10), Some(millis(110))).is_err());
    }

    #[test]
    fn without_a_deadline_a_picture_waits_for_four_seconds() {
        let mut queue = queue(1);
        queue.admit(picture(4000), None).unwrap();
        queue.admit(picture(1000), None).unwrap();
        let expected = Refusal::Overloaded {
            wait: millis(6000),
            excess: millis(1000),
        };
        assert_eq!(queue.admit(picture(1000), None), Err(expected));
    }

    #[test]
    fn a_slow_moment_does_not_refuse_large_pictures_for_ever() {
        let mut queue = DecodeQueue::new(1);
        queue.record(picture(100), millis(1000));
        let mut is_refused = || {
            let is_refused = queue.admit(picture(100), Some(millis(100))).is_err();
            if !is_refused {
                queue.record(picture(100), millis(50));
                queue.remove(picture(100));
            }
            is_refused
        };
        let refused: Vec<_> = (0..300).map(|_| is_refused()).collect();
        assert!(refused[..15].iter().all(|&is_refused| is_refused));
        assert!(refused[250..].iter().all(|&is_refused| !is_refused));
    }

    #[test]
    fn no_picture_is_decoded_only_to_measure_it_while_all_workers_are_busy() {
        let mut queue = queue(1);
        queue.admit(picture(100), None).unwrap();
        for _ in 0..100 {
            assert!(queue.admit(picture(100), Some(millis(50))).is_err());
        }
    }

    #[test]
    fn small_pictures_teach_nothing_about_large_ones() {
        let mut queue = queue(1);
        let small = DecodeWork::new(ImageFormat::Jpeg, 1);
        queue.record(small, millis(900));
        assert_eq!(queue.admit(picture(99), Some(millis(99))), Ok(()));
    }

    #[test]
    fn a_large_picture_outweighs_small_ones() {
        let mut queue = queue(1);
        queue.record(picture(10_000), millis(100));
        let time = queue.formats[&ImageFormat::Jpeg].time_of(10_000);
        assert!(time < millis(1000), "{time:?}");
    }
}
