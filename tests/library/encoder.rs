//! The encoder that serves against its definition, the candle graph: hidden states layer by layer and logits, in each precision
//! and with each family of instructions that this processor has.
//!
//! Tolerances, of hidden states that are layer-normalised (values about 1): f32 2e-5; bf16 .03; int8 .25 on random weights, which
//! is harsher than on trained ones, whose accuracy is held by the gate of `paidan-train`.
#![allow(clippy::print_stderr, reason = "a test says what it left out")]

use candle_core::{DType, Device, Result};
use candle_nn::VarBuilder;
use paidan::model::kernels::Isa;
use paidan::model::{Artifacts, Batch, Classifier, Cores, Encoder, Look, Precision, PrecisionSetting, Sequence, Setting};

use crate::support;

const ALL: [Isa; 5] = [Isa::Plain, Isa::Avx2, Isa::AvxVnni, Isa::Avx512, Isa::Amx];

/// Sequences of odd lengths: one token, a strip and one more, the longest.
fn ids(artifacts: &Artifacts) -> Vec<Vec<u32>> {
    let (words, longest) = (artifacts.config.vocab_size, artifacts.config.max_position_embeddings);
    [1, 7, 33, 64, 2, longest]
        .iter()
        .enumerate()
        .map(|(n, length)| (0..*length).map(|i| ((n * 31 + i * 7) % words) as u32).collect())
        .collect()
}

struct Bench {
    _folder: tempfile::TempDir,
    artifacts: Artifacts,
    classifier: Classifier,
    ids: Vec<Vec<u32>>,
    types: Vec<Vec<u32>>,
    looks: Vec<Look>,
}

impl Bench {
    fn new() -> Result<Self> {
        let folder = support::tiny_model();
        let artifacts = Artifacts::open(folder.path()).expect("a model");
        let vb = VarBuilder::from_tensors(artifacts.tensors.clone(), DType::F32, &Device::Cpu);
        let classifier = Classifier::load(&artifacts.config, artifacts.departments.len(), true, vb)?;
        let ids = ids(&artifacts);
        let types = ids.iter().map(|ids| (0..ids.len()).map(|i| u32::from(i > ids.len() / 2)).collect()).collect();
        // Whole, without a few tokens, without nearly all, with the [CLS] row hidden.
        let hidden = |length: usize| [0..0, length / 3..length / 2, 1..length, 0..length - 1];
        let looks = ids
            .iter()
            .enumerate()
            .flat_map(|(sequence, ids)| {
                hidden(ids.len())
                    .into_iter()
                    .filter(|range| range.len() < ids.len())
                    .map(move |hidden| Look { sequence, hidden })
            })
            .collect();
        Ok(Self { _folder: folder, artifacts, classifier, ids, types, looks })
    }

    fn sequences(&self) -> Vec<Sequence<'_>> {
        self.ids.iter().zip(&self.types).map(|(ids, type_ids)| Sequence { ids, type_ids }).collect()
    }

    /// Every precision on every family that this processor has.
    fn encoders(&self) -> Vec<(Encoder, f32)> {
        let mut encoders = Vec::new();
        for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 0.03), (Precision::Int8, 0.25)] {
            for isa in ALL {
                let setting = Setting { precision: PrecisionSetting::Fixed(precision), kernel: Some(isa) };
                match Encoder::new(&self.artifacts, setting) {
                    Ok(encoder) if encoder.kernel() == isa => encoders.push((encoder, tolerance)),
                    Ok(encoder) => eprintln!("SKIPPED: {precision} on {isa}: this processor gives {}", encoder.description()),
                    Err(error) => eprintln!("SKIPPED: {precision} on {isa}: {error}"),
                }
            }
        }
        encoders
    }
}

fn furthest(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn hidden_states_are_the_definitions_layer_by_layer() -> Result<()> {
    let bench = Bench::new()?;
    let batch = Batch::new(bench.ids.iter().zip(&bench.types).map(|(ids, types)| (&ids[..], &types[..])), &Device::Cpu)?;
    let expected = bench.classifier.encoder().hidden_states(&batch, None)?;
    for (encoder, tolerance) in bench.encoders() {
        let states = encoder.hidden_states(&bench.sequences()).expect("states");
        // All but the last layer's, which computes the [CLS] rows only.
        assert_eq!(states.len(), expected.len() - 1);
        for (layer, (ours, theirs)) in states.iter().zip(&expected).enumerate() {
            let off = furthest(ours, &theirs.flatten_all()?.to_vec1::<f32>()?);
            assert!(off <= tolerance, "{}: layer {layer} is {off} off", encoder.description());
        }
    }
    Ok(())
}

#[test]
fn heads_say_what_the_definition_says_whatever_a_look_hides() -> Result<()> {
    let bench = Bench::new()?;
    let batch = Batch::new(bench.ids.iter().zip(&bench.types).map(|(ids, types)| (&ids[..], &types[..])), &Device::Cpu)?;
    let expected = bench.classifier.forward(&batch, &bench.looks, None)?;
    for (encoder, tolerance) in bench.encoders() {
        let ours = encoder.forward(&bench.sequences(), &bench.looks, Cores::All).expect("rows");
        let off = [
            furthest(&ours.department_logits, &expected.department_logits.flatten_all()?.to_vec1::<f32>()?),
            furthest(&ours.dispute_logits.expect("a dispute head"), &expected.dispute_logits.as_ref().expect("one").to_vec1()?),
            furthest(&ours.embeddings, &expected.embeddings.flatten_all()?.to_vec1::<f32>()?),
        ];
        assert!(off.iter().all(|off| *off <= tolerance), "{}: {off:?} off", encoder.description());
    }
    Ok(())
}

#[test]
fn one_core_and_all_and_any_company_give_the_same_bits() -> Result<()> {
    let bench = Bench::new()?;
    for (encoder, _) in bench.encoders() {
        let sequences = bench.sequences();
        let together = encoder.forward(&sequences, &bench.looks, Cores::All).expect("rows");
        for cores in [Cores::One, Cores::Free] {
            assert_eq!(encoder.forward(&sequences, &bench.looks, cores).expect("rows"), together, "{cores:?}");
        }
        let width = together.department_logits.len() / bench.looks.len();
        for (row, look) in bench.looks.iter().enumerate() {
            // Alone there is one row behind the layers, whose products all cores share.
            for cores in [Cores::One, Cores::All] {
                let alone = [Look { sequence: 0, hidden: look.hidden.clone() }];
                let alone = encoder.forward(&sequences[look.sequence..look.sequence + 1], &alone, cores).expect("a row");
                assert_eq!(alone.department_logits, together.department_logits[row * width..(row + 1) * width], "{cores:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_batch_that_nobody_looks_at_has_no_rows() -> Result<()> {
    let bench = Bench::new()?;
    for (encoder, _) in bench.encoders() {
        for cores in [Cores::One, Cores::All] {
            let rows = encoder.forward(&bench.sequences(), &[], cores).expect("rows");
            assert!(rows.department_logits.is_empty() && rows.embeddings.is_empty(), "{}: {rows:?}", encoder.description());
        }
    }
    Ok(())
}

#[test]
fn nothing_is_allocated_but_the_answer_once_a_batch_as_large_was_seen() -> Result<()> {
    let bench = Bench::new()?;
    for (encoder, _) in bench.encoders() {
        let sequences = bench.sequences();
        let forward = || encoder.forward(&sequences, &bench.looks, Cores::One).expect("rows");
        forward();
        let used = allocation_counter::measure(|| drop(forward()));
        // Department logits, dispute logits, embeddings.
        assert_eq!(used.count_total, 3, "{}: {used:?}", encoder.description());
    }
    Ok(())
}

#[test]
fn a_batch_that_makes_no_sense_is_refused_by_place() -> Result<()> {
    let bench = Bench::new()?;
    let encoder = Encoder::new(&bench.artifacts, Setting::default()).expect("an encoder");
    let refused = |ids: &[u32], type_ids: &[u32], looks: &[Look]| {
        encoder.forward(&[Sequence { ids, type_ids }], looks, Cores::One).expect_err("refused").to_string()
    };
    assert!(refused(&[], &[], &[]).contains("sequence 0 has 0 tokens"));
    assert!(refused(&[1, 2], &[0], &[]).contains("2 tokens and 1 token types"));
    assert!(refused(&[u32::MAX], &[0], &[]).contains("no embedding"));
    assert!(refused(&[1], &[9], &[]).contains("no embedding"));
    let long = vec![1; bench.artifacts.config.max_position_embeddings + 1];
    assert!(refused(&long, &vec![0; long.len()], &[]).contains("positions"));
    for hidden in [0..2, 1..3, 0..1] {
        let ids: &[u32] = if hidden == (0..1) { &[1] } else { &[1, 2] };
        let look = Look { sequence: 0, hidden: hidden.clone() };
        assert!(refused(ids, &vec![0; ids.len()], &[look]).contains("look 0"), "{hidden:?}");
    }
    assert!(refused(&[1], &[0], &[Look { sequence: 1, hidden: 0..0 }]).contains("look 0"));
    Ok(())
}

#[test]
fn precision_follows_the_setting_and_auto_the_gate() -> Result<()> {
    let bench = Bench::new()?;
    let precision = |setting| Encoder::new(&bench.artifacts, setting).map(|encoder| encoder.precision());
    // The tiny model has no gate in its manifest.
    assert_eq!(precision(Setting::default()), Ok(Precision::F32));
    assert_eq!(precision(Setting::fixed(Precision::Int8)), Ok(Precision::Int8));
    // Attention beside int8 layers goes by what is fastest, never by what is merely there.
    for (isa, words) in [
        (Isa::Plain, "int8 on plain, attention f32 on plain"),
        (Isa::Avx2, "int8 on avx2, attention int16 on avx2"),
        (Isa::AvxVnni, "int8 on avxvnni, attention int16 on avxvnni"),
    ] {
        let int8 = Setting { precision: PrecisionSetting::Fixed(Precision::Int8), kernel: Some(isa) };
        let encoder = Encoder::new(&bench.artifacts, int8).expect("an encoder");
        match encoder.kernel() == isa {
            true => assert_eq!(encoder.description(), words),
            false => eprintln!("SKIPPED: int8 on {isa}: this processor lacks it"),
        }
    }
    let no_bf16 = Setting { precision: PrecisionSetting::Fixed(Precision::Bf16), kernel: Some(Isa::Avx2) };
    let error = precision(no_bf16).expect_err("AVX2 cannot").to_string();
    assert!(error.contains("bf16") && error.contains("use auto"), "{error}");
    Ok(())
}
