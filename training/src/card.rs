//! The model card: what a person should know before trusting the folder.

use paidan::model::Manifest;

use crate::average::Ingredient;
use crate::checkpoint::Progress;
use crate::dataset::Labels;

/// Renders `README.md` of the model folder from what was measured.
pub fn render(manifest: &Manifest, labels: &Labels, progress: &Progress) -> String {
    let config = &progress.config;
    let figure =
        |name: &str| manifest.metrics.get(name).map_or_else(|| "not measured".to_owned(), |value| format!("{value:.3}"));
    let mut rows = String::new();
    for (title, name) in [
        ("accuracy", "accuracy"),
        ("macro-F1", "macro_f1"),
        ("right department among the first three", "top3"),
        ("accuracy, all departments", "accuracy_all_departments"),
        ("expected calibration error, departments", "ece"),
        ("share that may go out alone at 95 % precision", "share_alone_at_95"),
        ("dispute risk: AUC", "dispute_auc"),
        ("dispute risk: average precision", "dispute_average_precision"),
        ("dispute risk: expected calibration error", "dispute_ece"),
        ("risk of a proposed dispatch: AUC", "proposal_auc"),
        ("risk of a proposed dispatch: average precision", "proposal_average_precision"),
    ] {
        let (text, category) = (figure(&format!("text_only.{name}")), figure(&format!("with_category.{name}")));
        rows.push_str(&format!("| {title} | {text} | {category} |\n"));
    }
    let departments: Vec<String> = labels.departments.iter().map(|d| format!("{} {}", d.id, d.training_orders)).collect();
    let commit = if manifest.git_commit.is_empty() { "unknown" } else { &manifest.git_commit };
    format!(
        "# {name}, version {version}\n\n\
         Routes appeals to {count} departments and says how likely a dispatch is to be disputed. Written by `paidan-train`.\n\n\
         {about}\n\n\
         ## Data\n\n\
         {training} training orders, {validation} later orders for validation. The epoch, the temperatures and the review \
         thresholds were all chosen on the validation orders, so the figures below are a little kinder than new orders will be.\n\n\
         ## Figures (validation)\n\n\
         | | text alone | with category and type |\n|---|---|---|\n{rows}\n\
         Accuracy, macro-F1 and top three are over departments with at least {min_orders} training orders unless the line says \
         otherwise. Dispute risk, its weights fitted on four fifths and measured on the fifth: AUC {cv_auc}, average precision \
         {cv_ap}.\n\n\
         ## Limits\n\n\
         - It advises; a person decides. Answers with reasons for review should be seen before they go out.\n\
         - It knows these departments only. Another city's are other departments, even where they have the same name.\n\
         - Departments with few orders are hardly learnt. Training orders of each: {departments}.\n\
         - \"Disputed\" means here that another department than the one first asked handled the order: a weak label.\n\
         - An order longer than the model reads is read from its head and its tail, and flagged.\n\n\
         ## Made with\n\n\
         Source commit {commit}. {runs}Learning rate {rate:e}, batches of {batch}, at most {tokens} tokens, label smoothing \
         {smoothing}. The whole configuration and the hashes of data and files are in `manifest.json`.\n",
        name = manifest.name,
        version = manifest.version,
        count = labels.departments.len(),
        about = config.about,
        training = manifest.data.training_orders,
        validation = manifest.data.validation_orders,
        min_orders = config.min_orders,
        cv_auc = figure("text_only.dispute_auc_cross_validated"),
        cv_ap = figure("text_only.dispute_average_precision_cross_validated"),
        departments = departments.join(", "),
        runs = runs(progress),
        rate = config.learning_rate,
        batch = config.batch_size,
        tokens = config.max_tokens,
        smoothing = config.label_smoothing,
    )
}

/// The run, or the runs whose mean it is, in a sentence.
fn runs(progress: &Progress) -> String {
    if progress.average_of.is_empty() {
        let best = progress.best_epoch().map_or(0, |epoch| epoch + 1);
        return format!("Seed {}, {} epochs (best: {best}). ", progress.config.seed, progress.history.len());
    }
    let run = |run: &Ingredient| {
        format!("seed {} (epoch {} of {})", run.configuration.seed, run.best_epoch, run.configuration.epochs)
    };
    let runs: Vec<String> = progress.average_of.iter().map(run).collect();
    format!("The mean of the weights of {} runs: {}. ", runs.len(), runs.join(", "))
}
