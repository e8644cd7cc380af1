//! That learning works at all: gradients reach every variable, and a handful of orders can be learnt by heart.

use paidan::evaluation::WorkOrder;
use paidan::model::Artifacts;
use paidan::text::AppealTokenizer;

use crate::config::TrainConfig;
use crate::dataset::{Labels, Orders};
use crate::examples::{Example, InputKind, StepBatch, epoch_batches};
use crate::model::rule;
use crate::optimizer::AdamW;
use crate::step::loss;
use crate::support;
use crate::trainer::Trainer;
use crate::validate::answer;

/// Sixteen orders over the invented appeals, with departments that no word gives away.
fn orders() -> Orders {
    let line = |i: usize| {
        let text = format!("{}{}", support::APPEALS[i % 8], ["小区", "街道"][i / 8]);
        let row = serde_json::json!({"order_id": i.to_string(), "appeal": text, "department": support::DEPARTMENTS[i * 5 % 6],
            "category": ["公共设施"], "rerouted": i.is_multiple_of(3)});
        WorkOrder::parse(row.to_string().as_bytes()).expect("an order")
    };
    Orders { path: "orders.jsonl".into(), orders: (0..16).map(line).collect(), faults: Vec::new(), sha256: String::new() }
}

fn with_trainer(config: &TrainConfig, work: impl FnOnce(&Trainer<'_>)) {
    let folder = tempfile::tempdir().expect("a folder");
    support::write_base_model(folder.path(), 5);
    let base = Artifacts::open(folder.path()).expect("a base model");
    let tokenizer = AppealTokenizer::from_bytes(&base.tokenizer).expect("a tokenizer");
    let orders = orders();
    let labels = Labels::collect(&orders).expect("labels");
    let examples: Vec<Example> = orders.orders.iter().map(|order| Example::new(order, &labels)).collect();
    work(&Trainer {
        config,
        base: &base,
        labels: &labels,
        training: &examples,
        validation: &examples,
        tokenizer: &tokenizer,
        has_dispute_head: true,
        inputs: Trainer::inputs(&orders, &orders, &base),
    });
}

#[test]
fn every_variable_receives_a_gradient() {
    let config = TrainConfig { hide_category: 0.0, ..TrainConfig::default() };
    with_trainer(&config, |trainer| {
        let trainee = trainer.trainee().expect("a model");
        let batches = epoch_batches(trainer.training, trainer.tokenizer, &config, 0).expect("batches");
        let batch = StepBatch::new(&batches[0], trainer.labels.departments.len(), &config).expect("a batch");
        let gradients = loss(&config, &trainee, &batch, 0).expect("a loss").backward().expect("gradients");
        assert_eq!(trainee.variables.len(), 5 + 2 * 16 + 2 + 2 + 2, "embeddings, two layers, pooler, two heads");
        for (name, variable) in &trainee.variables {
            let gradient = gradients.get(variable).unwrap_or_else(|| panic!("{name} has no gradient"));
            let largest = gradient.abs().and_then(|g| g.flatten_all()?.max(0)?.to_scalar::<f32>()).expect("a number");
            // The bias of the keys moves all scores of a query alike: its gradient is zero but for rounding.
            assert!(largest.is_finite() && (largest > 0.0 || name.ends_with("key.bias")), "{name}: largest gradient {largest}");
        }
    });
}

#[test]
fn sixteen_orders_can_be_learnt_by_heart() {
    let config =
        TrainConfig { batch_size: 16, dropout: 0.0, label_smoothing: 0.0, hide_category: 0.0, ..TrainConfig::default() };
    with_trainer(&config, |trainer| {
        let trainee = trainer.trainee().expect("a model");
        let mut adamw = AdamW::new(&trainee.variables, 0.0, 1.0);
        let batches = epoch_batches(trainer.training, trainer.tokenizer, &config, 0).expect("batches");
        let batch = StepBatch::new(&batches[0], trainer.labels.departments.len(), &config).expect("a batch");
        let mut value = f32::MAX;
        for step in 0..150 {
            let loss = loss(&config, &trainee, &batch, step).expect("a loss");
            value = loss.to_scalar().expect("a number");
            adamw.step(&trainee.variables, &loss.backward().expect("gradients"), 2e-3, |name| rule(name, 1.0)).expect("a step");
        }
        assert!(value < 0.05, "the loss is still {value}");
        let encoder = trainee.encoder(&trainer.base.config).expect("packed");
        let answers = answer(&encoder, trainer.training, trainer.tokenizer, InputKind::WithCategory, 128).expect("answers");
        for (example, logits) in trainer.training.iter().zip(&answers.department_logits) {
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            assert_eq!(best, example.department);
        }
    });
}
