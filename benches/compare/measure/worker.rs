//! What every rival speaks, ours and candle's here, Python's in `worker.py`: one JSON object a line on standard input, one line of
//! answer for each. So one program can let all of them take turns, whatever they are written in, each in a process of its own whose
//! memory is its own.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is measured: token ids in, department logits out.
pub trait Encoder: Sync {
    /// One row of logits for each sequence. Many threads may ask at once.
    fn logits(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>>;
    /// The precision that it computes in, and with what, for the table.
    fn describe(&self) -> String;
}

/// How an encoder is to be set up.
#[derive(Debug, Clone, Deserialize)]
pub struct Setup {
    /// The model folder.
    pub model: PathBuf,
    /// auto, f32, bf16 or int8.
    pub precision: String,
    /// Threads in all.
    pub threads: usize,
    /// Batches that are computed at the same time, the threads shared among them.
    pub streams: usize,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    /// Sets the encoder up, in place of an earlier one.
    Load(Setup),
    /// The texts of the mix; kept, so that reading them is not measured.
    Texts { ids: Vec<Vec<u32>> },
    /// One batch, all threads on it, so many times.
    Batch { ids: Vec<Vec<u32>>, repeat: usize },
    /// All texts: one after another (`single`) or as many a second as can be (`throughput`).
    Mix {
        mode: Mode,
        #[serde(default)]
        batching: Batching,
    },
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Single,
    Throughput,
}

/// When a batch is full: at so many texts, or at so many tokens as the longest text times their number.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Batching {
    #[default]
    One,
    Texts(usize),
    Tokens(usize),
}

/// Answers requests until the input ends. `load` makes an encoder; an error is an answer, not an end.
pub fn serve<E: Encoder>(load: impl Fn(&Setup) -> Result<E>) -> Result<()> {
    let mut worker: Worker<E> = Worker { encoder: None, texts: Vec::new() };
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?)
            .context("not a request")
            .and_then(|request| worker.answer(request, &load))
            .unwrap_or_else(|error| json!({"error": format!("{error:#}")}));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

struct Worker<E> {
    encoder: Option<(E, Setup)>,
    texts: Vec<Vec<u32>>,
}

impl<E: Encoder> Worker<E> {
    fn answer(&mut self, request: Request, load: impl Fn(&Setup) -> Result<E>) -> Result<Value> {
        match request {
            Request::Load(setup) => {
                // The former goes first: two in memory would be measured as one.
                self.encoder = None;
                let began = Instant::now();
                let encoder = load(&setup)?;
                let answer = json!({"seconds": began.elapsed().as_secs_f64(), "what": encoder.describe()});
                self.encoder = Some((encoder, setup));
                Ok(answer)
            }
            Request::Texts { ids } => {
                self.texts = ids;
                Ok(json!({"texts": self.texts.len()}))
            }
            Request::Batch { ids, repeat } => {
                let (encoder, _) = self.loaded()?;
                let sequences: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
                let mut ms = Vec::with_capacity(repeat);
                for _ in 0..repeat {
                    let began = Instant::now();
                    encoder.logits(&sequences)?;
                    ms.push(began.elapsed().as_secs_f64() * 1e3);
                }
                Ok(json!({"ms": ms}))
            }
            Request::Mix { mode: Mode::Single, .. } => self.single(),
            Request::Mix { mode: Mode::Throughput, batching } => self.throughput(batching),
        }
    }

    fn loaded(&self) -> Result<&(E, Setup)> {
        self.encoder.as_ref().context("nothing is loaded")
    }

    fn single(&self) -> Result<Value> {
        let (encoder, _) = self.loaded()?;
        let (mut ms, mut answers) = (Vec::new(), Vec::new());
        for text in &self.texts {
            let began = Instant::now();
            let logits = encoder.logits(&[text])?;
            answers.push(highest(&logits[0]));
            ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(json!({"seconds": ms.iter().sum::<f64>() / 1e3, "ms": ms, "answers": answers}))
    }

    fn throughput(&self, batching: Batching) -> Result<Value> {
        let (encoder, setup) = self.loaded()?;
        let began = Instant::now();
        let batches = self.batches(batching);
        let next = AtomicUsize::new(0);
        let stream = || -> Result<Vec<(usize, usize)>> {
            let mut done = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, Relaxed)) {
                let sequences: Vec<&[u32]> = batch.iter().map(|i| self.texts[*i].as_slice()).collect();
                let logits = encoder.logits(&sequences)?;
                done.extend(batch.iter().zip(&logits).map(|(i, logits)| (*i, highest(logits))));
            }
            Ok(done)
        };
        let mut answers = vec![0; self.texts.len()];
        std::thread::scope(|scope| -> Result<()> {
            let streams: Vec<_> = (0..setup.streams.max(1)).map(|_| scope.spawn(stream)).collect();
            for stream in streams {
                let Ok(done) = stream.join() else { bail!("a stream panicked") };
                done?.into_iter().for_each(|(i, answer)| answers[i] = answer);
            }
            Ok(())
        })?;
        Ok(json!({"seconds": began.elapsed().as_secs_f64(), "answers": answers}))
    }

    /// Texts of like length together, the longest first, so that no stream is left with a long one at the end.
    fn batches(&self, batching: Batching) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(self.texts[*i].len()));
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for i in order {
            let room = |batch: &Vec<usize>| match batching {
                Batching::One => false,
                Batching::Texts(most) => batch.len() < most,
                Batching::Tokens(most) => (batch.len() + 1) * self.texts[batch[0]].len() <= most,
            };
            match batches.last_mut().filter(|batch| room(batch)) {
                Some(batch) => batch.push(i),
                None => batches.push(vec![i]),
            }
        }
        batches
    }
}

/// Index of the highest logit: the answer.
fn highest(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or_default()
}
