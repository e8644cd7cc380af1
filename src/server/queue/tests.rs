//! The queue: what a batch is made of, on how many cores it runs, and who gets a place.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use super::*;
use crate::text::{Encoding, Reading};

const HOUR: Duration = Duration::from_secs(3600);

fn queue() -> Arc<Queue> {
    Queue::new(8, 6, Arc::default())
}

type Reply = oneshot::Receiver<Result<Answer, ServiceError>>;

fn job(tokens: usize) -> (Job, Reply) {
    let (ids, type_ids) = (vec![1; tokens], vec![0; tokens]);
    let encoding = Encoding { ids, type_ids, spans: vec![None; tokens], tokens_given: tokens, reading: Reading::Whole };
    let prepared = PreparedAppeal {
        encoding,
        clauses: Vec::new(),
        proposed: Vec::new(),
        with_category: false,
        circumstances: None,
        objections: Vec::new(),
        parts: Vec::new(),
    };
    let (reply, answer) = oneshot::channel();
    (Job { prepared, arrived: Instant::now(), deadline: Instant::now() + HOUR, reply }, answer)
}

/// Takes a batch on another thread; its size comes out of the channel.
fn take(queue: &Arc<Queue>, max_delay: Duration) -> std::sync::mpsc::Receiver<Option<usize>> {
    let (queue, (send, taken)) = (Arc::clone(queue), channel());
    thread::spawn(move || send.send(queue.take(100, max_delay).map(|batch| batch.jobs.len())));
    taken
}

#[test]
fn a_free_model_takes_what_is_there_at_once() {
    let queue = queue();
    let (job, _answer) = job(5);
    queue.reserve().expect("room").submit(job);
    // Were it to wait for others, it would wait an hour.
    assert_eq!(take(&queue, HOUR).recv_timeout(Duration::from_secs(20)), Ok(Some(1)));
}

#[test]
fn it_waits_for_an_appeal_that_is_being_tokenized() {
    let queue = queue();
    let ((first, _a), (second, _b)) = (job(5), job(5));
    let place = queue.reserve().expect("room");
    queue.reserve().expect("room").submit(first);
    let taken = take(&queue, HOUR);
    // Not proof that it waits, but a queue that does not wait is caught here nearly always, and below always.
    assert_eq!(taken.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
    place.submit(second);
    assert_eq!(taken.recv_timeout(Duration::from_secs(20)), Ok(Some(2)));
}

#[test]
fn but_not_longer_than_the_delay() {
    let queue = queue();
    let (job, _answer) = job(5);
    let _never_submitted = queue.reserve().expect("room");
    queue.reserve().expect("room").submit(job);
    assert_eq!(take(&queue, Duration::from_millis(1)).recv_timeout(Duration::from_secs(20)), Ok(Some(1)));
}

#[test]
fn nor_for_one_that_was_given_up_nor_beyond_a_full_batch() {
    let queue = queue();
    let ((small, _a), (large, _b)) = (job(5), job(100));
    let place = queue.reserve().expect("room");
    queue.reserve().expect("room").submit(small);
    let taken = take(&queue, HOUR);
    drop(place);
    assert_eq!(taken.recv_timeout(Duration::from_secs(20)), Ok(Some(1)));
    let _never_submitted = queue.reserve().expect("room");
    queue.reserve().expect("room").submit(large);
    assert_eq!(take(&queue, HOUR).recv_timeout(Duration::from_secs(20)), Ok(Some(1)));
}

#[test]
fn a_short_appeal_goes_before_a_long_one_but_not_before_one_that_has_waited_three_times_its_own_time() {
    let queue = queue();
    let came = Instant::now();
    let ms = Duration::from_millis;
    let (long, short, late) = (job(90), job(20), job(30));
    let mut state = queue.lock();
    state.insert(long.0, came, ms(9));
    state.insert(short.0, came + ms(20), ms(2));
    state.insert(late.0, came + ms(22), ms(3));
    assert_eq!(state.tokens, 140);
    let sizes = |batch: Vec<Job>| batch.iter().map(|job| job.prepared.tokens()).collect::<Vec<_>>();
    assert_eq!(sizes(queue.fill(&mut state, 100)), [20, 30], "due after 26 and 31 ms");
    assert_eq!(sizes(queue.fill(&mut state, 100)), [90], "due after 27 ms, but it did not fit");
    assert_eq!(state.tokens, 0);
}

#[test]
fn a_batch_has_all_cores_if_nobody_else_is_here_and_those_that_are_free_if_somebody_just_was() {
    let queue = queue();
    let mut answers = Vec::new();
    let mut submit = |place: Place| {
        let (job, answer) = job(60);
        place.submit(job);
        answers.push(answer);
    };
    let cores = || queue.take(100, Duration::ZERO).expect("a batch").cores;
    let met = |when: Option<Instant>| queue.lock().met = when;
    submit(queue.reserve().expect("room"));
    assert_eq!(cores(), Cores::All, "the first");
    submit(queue.reserve().expect("room"));
    assert_eq!(cores(), Cores::One, "the first is running");
    queue.ran();
    queue.ran();
    assert!(queue.lock().met.is_some(), "the second met the first");
    met(Instant::now().checked_sub(COMPANY));
    submit(queue.reserve().expect("room"));
    assert_eq!(cores(), Cores::All, "they have left");
    queue.ran();
    met(None);
    for _ in 0..2 {
        submit(queue.reserve().expect("room"));
    }
    assert_eq!(cores(), Cores::One, "the second waits");
    queue.ran();
    assert!(queue.lock().met.is_some(), "it met the first");
    // However long the test takes.
    met(Some(Instant::now() + HOUR));
    assert_eq!(cores(), Cores::Free, "it came while the first waited");
    queue.ran();
    met(None);
    let place = queue.reserve().expect("room");
    submit(queue.reserve().expect("room"));
    met(None);
    assert_eq!(cores(), Cores::One, "another is being tokenized");
    drop(place);
}

#[test]
fn a_closed_queue_is_worked_off_and_then_ends() {
    let queue = queue();
    let (job, _answer) = job(5);
    let place = queue.reserve().expect("room");
    queue.close();
    assert!(matches!(queue.reserve(), Err(ServiceError::ShuttingDown)));
    place.submit(job);
    assert_eq!(take(&queue, HOUR).recv_timeout(Duration::from_secs(20)), Ok(Some(1)));
    assert_eq!(take(&queue, HOUR).recv_timeout(Duration::from_secs(20)), Ok(None));
}

#[test]
fn places_are_counted_while_appeals_are_tokenized_and_given_back() {
    let queue = queue();
    let places: Vec<_> = (0..8).map(|_| queue.reserve().expect("room")).collect();
    assert!(matches!(queue.reserve(), Err(ServiceError::Overloaded { .. })));
    drop(places);
    assert!(queue.reserve().is_ok());
}
