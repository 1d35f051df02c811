//! The queue against a list that is sorted and searched anew for every question.

use std::time::Duration;

use contract::Tensor;
use proptest::prelude::*;
use tokio::time;

use super::*;

/// Rows with `width` values each, as a layout; 0 for a request that runs alone.
fn layout(width: usize) -> Option<RowLayout> {
    let row = Tensor::from_values([1, width].into(), vec![0_u8; width]).unwrap();
    (width > 0).then(|| RowLayout::of(&[Some(row)]))
}

/// A plan while nothing is known about runs.
fn constraints(now: Instant, max_rows: usize) -> BatchConstraints<'static> {
    BatchConstraints {
        now,
        max_rows,
        run_time: &|_| Duration::ZERO,
        shed_before: None,
    }
}

#[derive(Clone, Debug)]
struct Request {
    n_rows: usize,
    width: usize,
    priority: u32,
    /// Milliseconds after the start.
    deadline: Option<u64>,
}

#[derive(Clone, Debug)]
enum Operation {
    Push(Request),
    /// Removes the request that was pushed as this one, modulo their number.
    Remove(usize),
    /// Takes the batch of this size at this millisecond.
    Take(usize, u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let request = (
        0..5_usize,
        0..3_usize,
        0..4_u32,
        prop::option::of(0..40_u64),
    );
    prop_oneof![
        4 => request.prop_map(|(n_rows, width, priority, deadline)| {
            Operation::Push(Request { n_rows, width, priority, deadline })
        }),
        1 => any::<usize>().prop_map(Operation::Remove),
        2 => (1..7_usize, 0..40_u64).prop_map(|(size, now)| Operation::Take(size, now)),
    ]
}

/// Requests in the order in which they came, under their numbers.
#[derive(Debug, Default)]
struct Model(Vec<(usize, Request)>);

impl Model {
    fn in_order(&self) -> Vec<(usize, Request)> {
        let mut sorted = self.0.clone();
        let key = |(number, request): &(usize, Request)| {
            let due = request.deadline.unwrap_or(u64::MAX);
            (request.priority.wrapping_sub(1), due, *number)
        };
        sorted.sort_by_key(key);
        sorted
    }

    /// The numbers of the expired requests in front of the batch, and those of the batch.
    fn plan(&self, now: u64, max_rows: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut expired, mut batch) = (Vec::new(), Vec::<(usize, Request)>::new());
        for (number, request) in self.in_order() {
            let rows: usize = batch.iter().map(|(_, member)| member.n_rows).sum();
            let head_width = batch.first().map(|(_, head)| head.width);
            let is_closed = rows >= max_rows || head_width == Some(0);
            if !batch.is_empty() && is_closed {
                break;
            }
            if request.deadline.is_some_and(|deadline| deadline <= now) {
                expired.push(number);
                continue;
            }
            if head_width.is_some_and(|width| width != request.width) {
                continue;
            }
            if !batch.is_empty() && rows + request.n_rows > max_rows {
                break;
            }
            batch.push((number, request));
        }
        (
            expired,
            batch.into_iter().map(|(number, _)| number).collect(),
        )
    }

    fn remove(&mut self, number: usize) -> bool {
        let before = self.0.len();
        self.0.retain(|(other, _)| *other != number);
        self.0.len() < before
    }
}

proptest! {
    #[test]
    fn the_queue_serves_in_the_order_of_the_naive_list(
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        let start = time::Instant::now().into_std();
        let at = |millis| start + Duration::from_millis(millis);
        let (mut queue, mut model, mut keys) = (Queue::new(), Model::default(), Vec::new());
        for operation in operations {
            match operation {
                Operation::Push(request) => {
                    let number = keys.len();
                    keys.push(queue.push(QueuedRequest {
                        n_rows: request.n_rows,
                        layout: layout(request.width),
                        priority: request.priority,
                        arrived: at(0),
                        deadline: request.deadline.map(at),
                        request: number,
                    }));
                    model.0.push((number, request));
                }
                Operation::Remove(any) => {
                    let Some(number) = any.checked_rem(keys.len()) else { continue };
                    let removed = queue.remove(keys[number]).map(|waiting| waiting.request);
                    prop_assert_eq!(removed, model.remove(number).then_some(number));
                }
                Operation::Take(max_rows, now) => {
                    let plan = queue.plan(&constraints(at(now), max_rows));
                    let (expired, batch) = model.plan(now, max_rows);
                    for (keys, numbers) in [(plan.dropped, expired), (plan.batch, batch)] {
                        let taken: Vec<_> =
                            queue.take(&keys).iter().map(|waiting| waiting.request).collect();
                        numbers.iter().for_each(|&number| assert!(model.remove(number)));
                        prop_assert_eq!(taken, numbers);
                    }
                }
            }
            let n_rows: usize = model.0.iter().map(|(_, request)| request.n_rows.max(1)).sum();
            prop_assert_eq!((queue.len(), queue.n_rows()), (model.0.len(), n_rows));
            prop_assert_eq!(queue.is_empty(), model.0.is_empty());
        }
        let left: Vec<_> = queue.drain().into_iter().map(|waiting| waiting.request).collect();
        let expected: Vec<_> = model.in_order().into_iter().map(|(number, _)| number).collect();
        prop_assert_eq!(left, expected);
        prop_assert_eq!((queue.len(), queue.n_rows()), (0, 0));
    }
}

#[test]
fn a_batch_is_full_when_waiting_cannot_add_to_it() {
    let now = time::Instant::now().into_std();
    let check = |requests: &[(usize, usize)], expected: bool| {
        let mut queue = Queue::new();
        for &(n_rows, width) in requests {
            queue.push(QueuedRequest {
                n_rows,
                layout: layout(width),
                priority: 0,
                arrived: now,
                deadline: None,
                request: (),
            });
        }
        assert_eq!(
            queue.plan(&constraints(now, 4)).is_full,
            expected,
            "{requests:?}"
        );
    };
    check(&[], false);
    check(&[(1, 1)], false);
    check(&[(1, 1), (3, 2)], false);
    check(&[(1, 1), (3, 1)], true);
    check(&[(1, 1), (4, 1)], true);
    check(&[(9, 1)], true);
    check(&[(1, 0)], true);
}
