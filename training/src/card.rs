//! The model card: what a person should know before trusting the folder.

use paidan::model::Manifest;

use crate::apart::When;
use crate::average::Ingredient;
use crate::checkpoint::Progress;
use crate::config::TrainConfig;
use crate::dataset::Labels;

/// Renders `README.md` of the model folder from what was measured.
pub fn render(manifest: &Manifest, labels: &Labels, progress: &Progress, when: When) -> String {
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
        ("risk of a proposed dispatch: expected calibration error", "proposal_ece"),
    ] {
        let (text, category) = (figure(&format!("text_only.{name}")), figure(&format!("with_category.{name}")));
        rows.push_str(&format!("| {title} | {text} | {category} |\n"));
    }
    let held_out = held_out(manifest);
    let departments: Vec<String> = labels.departments.iter().map(|d| format!("{} {}", d.id, d.training_orders)).collect();
    let commit = if manifest.git_commit.is_empty() { "unknown" } else { &manifest.git_commit };
    let calibrated = match &manifest.calibrated_by[..] {
        "" => String::new(),
        commit => format!(" (calibrated anew by {commit})"),
    };
    format!(
        "# {name}, version {version}\n\n\
         Routes appeals to {count} departments and says how likely a dispatch is to be disputed. Written by `paidan-train`.\n\n\
         {about}\n\n\
         ## Data\n\n\
         {training} training orders, {validation} {later}. The epoch, the temperatures and the review \
         thresholds were all chosen on the validation orders, so the figures below are a little kinder than new orders will be.\n\n\
         ## Figures (validation)\n\n\
         | | text alone | with category and type |\n|---|---|---|\n{rows}\n\
         Accuracy, macro-F1 and top three are over departments with at least {min_orders} training orders unless the line says \
         otherwise.\n\n{held_out}\
         ## Limits\n\n\
         - It advises; a person decides. Answers with reasons for review should be seen before they go out.\n\
         - It knows these departments only. Another city's are other departments, even where they have the same name.\n\
         - Departments with few orders are hardly learnt. Training orders of each: {departments}.\n\
         - \"Disputed\" means here that another department than the one first asked handled the order: a weak label.\n\
         - An order longer than the model reads is read from its head and its tail, and flagged.\n\n\
         ## Made with\n\n\
         Source commit {commit}{calibrated}. {runs}{learnt}The whole configuration and the hashes of data and files are in \
         `manifest.json`.\n",
        name = manifest.name,
        version = manifest.version,
        count = labels.departments.len(),
        about = config.about,
        training = manifest.data.training_orders,
        validation = manifest.data.validation_orders,
        later = match when {
            When::Later => "later orders for validation",
            When::Mixed => "other orders for validation, some of them earlier than the last training order",
            When::Unknown => "other orders for validation, of which it is not known whether they are later",
        },
        min_orders = config.min_orders,
        departments = departments.join(", "),
        calibrated = calibrated,
        runs = runs(progress),
        learnt = learnt(progress),
    )
}

/// Both risks on orders that their weights were not fitted on; nothing where nothing is known of disputes.
fn held_out(manifest: &Manifest) -> String {
    let names = ["text_only.dispute", "with_category.dispute", "text_only.proposal", "with_category.proposal"];
    let mut rows = String::new();
    for (title, name) in [
        ("AUC", "auc_cross_validated"),
        ("average precision", "average_precision_cross_validated"),
        ("expected calibration error", "ece_cross_validated"),
        ("disputes caught if 1 % of orders are reviewed", "caught_at_01_cross_validated"),
        ("if 3 %", "caught_at_03_cross_validated"),
        ("if 5 %", "caught_at_05_cross_validated"),
        ("if 10 %", "caught_at_10_cross_validated"),
        ("AUC of the last third", "auc_last_third"),
        ("average precision of the last third", "average_precision_last_third"),
        ("expected calibration error of the last third", "ece_last_third"),
    ] {
        let cells: Vec<String> = names
            .iter()
            .filter_map(|risk| manifest.metrics.get(&format!("{risk}_{name}")))
            .map(|value| format!("{value:.3}"))
            .collect();
        if cells.len() == names.len() {
            rows.push_str(&format!("| {title} | {} |\n", cells.join(" | ")));
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let fitted = match manifest.metrics.get(crate::export::WEIGHED_DISPUTES) {
        Some(disputes) => format!(
            "Both risks once more. How much each witness counts was fitted on the {disputes} disputes of the training orders, each \
             answered by a model that had not learnt from it, and the common factor and the bias on four fifths of the validation \
             orders; or all of it on those, where that foretells held-out ones better. Measured on the fifth"
        ),
        None => "Both risks once more, their weights fitted on four fifths of the validation orders and measured on the fifth"
            .to_owned(),
    };
    let last_third = if rows.contains("last third") {
        ", and, for the last third, fitted on the two thirds before it"
    } else {
        ". There are no figures of the last third: they need the day of every order, and disputes in it and before it"
    };
    format!(
        "{fitted} (mean of ten drawings){last_third}. Which witnesses are heard was \
         chosen with these orders in view. There are few disputes among them: differences of a few hundredths are chance.\n\n\
         | | dispute, text alone | dispute, with category | proposed dispatch, text alone | proposed dispatch, with category |\n\
         |---|---|---|---|---|\n{rows}\n"
    )
}

/// How the run learnt, in a sentence; nothing of a mean, each of whose runs may have learnt in another way.
fn learnt(Progress { config, average_of, .. }: &Progress) -> String {
    if !average_of.is_empty() {
        return String::new();
    }
    format!(
        "Learning rate {:e}, batches of {}, at most {} tokens, label smoothing {}. ",
        config.learning_rate, config.batch_size, config.max_tokens, config.label_smoothing
    )
}

/// The run, or the runs whose mean it is, in a sentence.
fn runs(progress: &Progress) -> String {
    if progress.average_of.is_empty() {
        let best = progress.best_epoch().map_or(0, |epoch| epoch + 1);
        if progress.history.is_empty() {
            // Calibrated anew: how the run went is known to its own folder only.
            return format!("Seed {}, at most {} epochs. ", progress.config.seed, progress.config.epochs);
        }
        return format!("Seed {}, {} epochs (best: {best}). ", progress.config.seed, progress.history.len());
    }
    let run = |Ingredient { configuration: TrainConfig { seed, epochs, .. }, best_epoch }: &Ingredient| match best_epoch {
        0 => format!("seed {seed} (at most {epochs} epochs)"),
        best => format!("seed {seed} (epoch {best} of {epochs})"),
    };
    let runs: Vec<String> = progress.average_of.iter().map(run).collect();
    format!("The mean of the weights of {} runs: {}. ", runs.len(), runs.join(", "))
}
