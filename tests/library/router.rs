//! The router over a tiny random model: what it promises whatever the weights are.

use candle_core::{D, DType, Device, IndexOp, Result, Tensor};
use candle_nn::VarBuilder;
use paidan::model::{Artifacts, Batch, Classifier, Look, ops::plain};
use paidan::routing::{Decision, ReviewReason, RouteError, Router};
use paidan::text::{Appeal, AppealFields, Reading};

use crate::support::{APPEALS, DEPARTMENTS, tiny_model};

fn router() -> (tempfile::TempDir, Router) {
    let folder = tiny_model();
    let router = Router::open(folder.path()).expect("a model");
    (folder, router)
}

fn decide(router: &Router, fields: AppealFields) -> Decision {
    let appeal = router.prepare(&Appeal::parse(fields).expect("an appeal")).expect("prepared");
    router.route(&[appeal]).expect("routed").remove(0)
}

fn text(text: &str) -> AppealFields {
    AppealFields { text: text.to_owned(), ..AppealFields::default() }
}

#[test]
fn probabilities_are_ranked_and_sum_to_one() {
    let (_folder, router) = router();
    for appeal in APPEALS {
        let decision = decide(&router, text(appeal));
        let sum: f32 = decision.departments.iter().map(|ranked| ranked.probability).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        assert!(decision.departments.is_sorted_by(|a, b| a.probability >= b.probability));
        assert_eq!(decision.departments.len(), DEPARTMENTS.len());
        assert!(decision.dispute_risk.is_some_and(|risk| (0.0..=1.0).contains(&risk)));
        let length: f32 = decision.embedding.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-4, "an embedding of length {length}");
    }
}

#[test]
fn an_answer_does_not_depend_on_what_else_is_in_the_batch() {
    let (_folder, router) = router();
    let long = APPEALS.join("，").repeat(3);
    let texts: Vec<&str> = APPEALS.iter().copied().chain([long.as_str()]).collect();
    let prepared: Vec<_> =
        texts.iter().map(|t| router.prepare(&Appeal::from_text(t).expect("an appeal")).expect("prepared")).collect();
    let together = router.route(&prepared).expect("routed");
    for (appeal, in_batch) in prepared.into_iter().zip(together) {
        let alone = router.route(&[appeal]).expect("routed").remove(0);
        for (a, b) in alone.departments.iter().zip(&in_batch.departments) {
            assert_eq!(a.department, b.department);
            assert!((a.probability - b.probability).abs() < 1e-5, "{} alone, {} in a batch", a.probability, b.probability);
        }
        assert_eq!(alone.review_reasons, in_batch.review_reasons);
        assert_eq!(alone.evidence.len(), in_batch.evidence.len());
    }
}

#[test]
fn a_batch_of_more_tokens_than_one_pass_reads_is_answered_whole_and_in_order() {
    let (_folder, router) = router();
    // Of about 17 tokens each: more than a thousand together, and one that fills a pass by itself in their midst.
    let mut texts: Vec<String> = (0..64).map(|i| APPEALS[i % APPEALS.len()].to_owned()).collect();
    texts.insert(30, APPEALS[2].repeat(60));
    let prepared: Vec<_> =
        texts.iter().map(|one| router.prepare(&Appeal::from_text(one).expect("an appeal")).expect("prepared")).collect();
    let together = router.route(&prepared).expect("routed");
    assert_eq!(together.len(), prepared.len());
    for (appeal, in_batch) in prepared.into_iter().zip(together) {
        let alone = router.route(&[appeal]).expect("routed").remove(0);
        assert_eq!(alone.lead().department, in_batch.lead().department);
        assert!((alone.lead().probability - in_batch.lead().probability).abs() < 1e-5);
    }
}

#[test]
fn texts_of_more_tokens_than_one_pass_reads_are_each_embedded_as_alone() {
    let (_folder, router) = router();
    let texts: Vec<&str> = (0..64).map(|i| APPEALS[i % APPEALS.len()]).collect();
    let together = router.embed(&texts).expect("embedded");
    assert_eq!(together.len(), texts.len());
    for (text, embedding) in texts.iter().zip(together) {
        let alone = router.embed(&[text]).expect("embedded").remove(0);
        assert!(alone.iter().zip(&embedding).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

/// BERT as it is usually written: padded, with a mask. The house never pads; this shows that nothing is lost by that.
fn padded_cls(artifacts: &Artifacts, sequences: &[Vec<u32>]) -> Result<Tensor> {
    let device = &Device::Cpu;
    let vb = VarBuilder::from_tensors(artifacts.tensors.clone(), DType::F32, device).pp("bert");
    let config = &artifacts.config;
    let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
    let longest = sequences.iter().map(Vec::len).max().unwrap_or_default();
    let count = sequences.len();
    let ids: Vec<u32> = sequences.iter().flat_map(|s| s.iter().copied().chain(vec![0; longest - s.len()])).collect();
    let mask: Vec<f32> =
        sequences.iter().flat_map(|s| (0..longest).map(|i| if i < s.len() { 0.0 } else { -10_000.0 })).collect();
    let mask = Tensor::from_vec(mask, (count, 1, 1, longest), device)?;
    let table = |name: &str, rows: usize| vb.pp("embeddings").pp(name).get((rows, hidden), "weight");
    let words =
        table("word_embeddings", config.vocab_size)?.index_select(&Tensor::from_vec(ids, count * longest, device)?, 0)?;
    let places = table("position_embeddings", config.max_position_embeddings)?.narrow(0, 0, longest)?;
    let types = table("token_type_embeddings", 2)?.i(0)?;
    let linear = |x: &Tensor, name: &str, outer: usize, inner: usize| -> Result<Tensor> {
        plain::linear(x, &vb.get((outer, inner), &format!("{name}.weight"))?, &vb.get(outer, &format!("{name}.bias"))?)
    };
    let norm = |x: &Tensor, name: &str| -> Result<Tensor> {
        plain::layer_norm(
            x,
            &vb.get(hidden, &format!("{name}.weight"))?,
            &vb.get(hidden, &format!("{name}.bias"))?,
            config.layer_norm_eps,
        )
    };
    let sum = words.reshape((count, longest, hidden))?.broadcast_add(&places.unsqueeze(0)?)?.broadcast_add(&types)?;
    let mut x = norm(&sum.reshape((count * longest, hidden))?, "embeddings.LayerNorm")?;
    for layer in 0..config.num_hidden_layers {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let split = |part: &str| -> Result<Tensor> {
            let y = linear(&x, &name(&format!("attention.self.{part}")), hidden, hidden)?;
            y.reshape((count, longest, heads, hidden / heads))?.transpose(1, 2)?.contiguous()
        };
        let (q, k, v) = (split("query")?, split("key")?, split("value")?);
        let scores = (q.matmul(&k.t()?)? / ((hidden / heads) as f64).sqrt())?.broadcast_add(&mask)?;
        let context =
            candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?.transpose(1, 2)?.reshape((count * longest, hidden))?;
        let attended = norm(
            &(linear(&context, &name("attention.output.dense"), hidden, hidden)? + &x)?,
            &name("attention.output.LayerNorm"),
        )?;
        let middle = plain::gelu(&linear(&attended, &name("intermediate.dense"), config.intermediate_size, hidden)?)?;
        let output = linear(&middle, &name("output.dense"), hidden, config.intermediate_size)?;
        x = norm(&(output + attended)?, &name("output.LayerNorm"))?;
    }
    x.reshape((count, longest, hidden))?.i((.., 0))
}

#[test]
fn a_batch_laid_end_to_end_gives_what_a_padded_one_gives() -> Result<()> {
    let folder = tiny_model();
    let artifacts = Artifacts::open(folder.path()).expect("a model");
    let vb = VarBuilder::from_tensors(artifacts.tensors.clone(), DType::F32, &Device::Cpu);
    let classifier = Classifier::load(&artifacts.config, DEPARTMENTS.len(), true, vb)?;
    let sequences: Vec<Vec<u32>> = [1usize, 40, 7, 90, 16]
        .iter()
        .map(|length| (0..*length as u32).map(|i| 2 + (i * 7 + *length as u32) % 60).collect())
        .collect();
    let types: Vec<Vec<u32>> = sequences.iter().map(|sequence| vec![0; sequence.len()]).collect();
    let batch = Batch::new(sequences.iter().zip(&types).map(|(ids, types)| (&ids[..], &types[..])), &Device::Cpu)?;
    let looks: Vec<Look> = (0..sequences.len()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
    let ours = classifier.encoder().cls(&batch, &looks, None)?;
    let padded = padded_cls(&artifacts, &sequences)?;
    let difference = (ours - padded)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
    assert!(difference < 2e-5, "differs by {difference}");
    Ok(())
}

#[test]
fn the_last_layers_short_cut_gives_the_same_cls_row_as_the_whole_layer() -> Result<()> {
    let folder = tiny_model();
    let artifacts = Artifacts::open(folder.path()).expect("a model");
    let vb = VarBuilder::from_tensors(artifacts.tensors.clone(), DType::F32, &Device::Cpu);
    let classifier = Classifier::load(&artifacts.config, DEPARTMENTS.len(), true, vb)?;
    let (ids, types) = ((2..40u32).collect::<Vec<_>>(), vec![0u32; 38]);
    let batch = Batch::new([(&ids[..], &types[..]), (&ids[..9], &types[..9])], &Device::Cpu)?;
    let looks = [Look { sequence: 0, hidden: 0..0 }, Look { sequence: 0, hidden: 3..9 }, Look { sequence: 1, hidden: 0..0 }];
    let short = classifier.encoder().cls(&batch, &looks, None)?;
    let states = classifier.encoder().hidden_states(&batch, None)?;
    let whole = &states[states.len() - 1];
    for (row, token) in [(0, 0), (2, 38)] {
        let difference = (short.i(row)? - whole.i(token)?)?.abs()?.max(0)?.to_scalar::<f32>()?;
        assert!(difference < 1e-5, "row {row} differs by {difference}");
    }
    let hidden = (short.i(0)? - short.i(1)?)?.abs()?.max(0)?.to_scalar::<f32>()?;
    assert!(hidden > 1e-4, "hiding tokens changed nothing");
    Ok(())
}

#[test]
fn evidence_points_at_clauses_of_the_text_as_it_was_sent() {
    let (_folder, router) = router();
    let sent = "  楼下烧烤店油烟大，晚上很吵。电话13800138000，希望ＮＯＩＳＥ尽快处理好！";
    let decision = decide(&router, text(sent));
    assert!(decision.evidence.len() >= 2, "{:?}", decision.evidence);
    let chars: Vec<char> = sent.chars().collect();
    let parts: Vec<String> =
        decision.evidence.iter().map(|part| chars[part.start as usize..part.end as usize].iter().collect()).collect();
    assert!(parts.iter().any(|part| part == "楼下烧烤店油烟大"), "{parts:?}");
    assert!(decision.evidence.is_sorted_by(|a, b| a.weight.abs() >= b.weight.abs()));
}

#[test]
fn what_a_person_should_see_is_said() {
    let (_folder, router) = router();
    let short = decide(&router, text("坏了"));
    assert!(short.review_reasons.contains(&ReviewReason::TooShort), "{:?}", short.review_reasons);
    let long = decide(&router, text(&"小区停水三天了，没人来修。".repeat(100)));
    assert!(long.review_reasons.contains(&ReviewReason::Truncated));
    assert_eq!((long.reading, long.tokens_read), (Reading::HeadAndTail, 512));
    assert!(long.tokens_given > 1000, "{}", long.tokens_given);
    let uncertain = decide(&router, text(APPEALS[0]));
    assert_eq!(
        uncertain.lead().probability < 0.7,
        uncertain.review_reasons.contains(&ReviewReason::LowConfidence),
        "low confidence is said exactly below the threshold"
    );
}

#[test]
fn a_proposal_is_judged_by_id_or_name_and_a_stranger_is_named_with_the_nearest() {
    let (_folder, router) = router();
    let with = |name: &str| AppealFields { proposed_departments: vec![name.to_owned()], ..text(APPEALS[0]) };
    let none = decide(&router, text(APPEALS[0]));
    assert_eq!(none.proposed_dispatch_risk, None);
    let lead = decide(&router, with(&none.lead().department.id));
    let last = decide(&router, with(&none.departments[DEPARTMENTS.len() - 1].department.name));
    assert!(lead.proposed_dispatch_risk < last.proposed_dispatch_risk, "the likelier department comes back less often");
    let error = router.prepare(&Appeal::parse(with("城管局")).expect("an appeal")).expect_err("a stranger");
    let RouteError::Appeal(error) = error else { panic!("{error}") };
    assert_eq!(error.field, "proposed_department");
    assert!(error.reason.contains("did you mean \"城管\""), "{}", error.reason);
}

#[test]
fn the_operators_category_is_read_where_it_is_given() {
    let (_folder, router) = router();
    let category = vec!["公共设施".to_owned(), "其他".to_owned()];
    let with =
        router.prepare(&Appeal::parse(AppealFields { category, ..text(APPEALS[0]) }).expect("an appeal")).expect("prepared");
    let without = router.prepare(&Appeal::from_text(APPEALS[0]).expect("an appeal")).expect("prepared");
    assert!(with.with_category && !without.with_category);
    assert_eq!(with.tokens(), without.tokens() + 5, "four characters and a separator");
    let nothing = vec!["其他".to_owned(); 4];
    let silent = AppealFields { category: nothing, ..text(APPEALS[0]) };
    assert!(!router.prepare(&Appeal::parse(silent).expect("an appeal")).expect("prepared").with_category);
}
