//! The accuracy gate: may this model be served in int8 without anybody asking for it?

use std::collections::BTreeMap;

use paidan::model::Int8Gate;

/// Most that accuracy may fall, as a share.
const ACCURACY: f64 = 0.003;

/// Most that macro-F1 may fall.
const MACRO_F1: f64 = 0.005;

/// Highest calibration error of int8, whatever that of f32 is: a model that is off by more is not one to hurry with.
const ECE: f64 = 0.03;

/// Holds the figures of int8 against those of f32, both by their names in the manifest. What was not measured is no pass.
pub fn int8(exact: &BTreeMap<String, f64>, int8: &BTreeMap<String, f64>) -> Int8Gate {
    let (mut figures, mut failed, mut unmeasured) = (BTreeMap::new(), Vec::new(), Vec::new());
    for kind in ["text_only", "with_category"] {
        for (name, most) in [("accuracy", ACCURACY), ("macro_f1", MACRO_F1)] {
            let key = format!("{kind}.{name}");
            let (Some(was), Some(is)) = (exact.get(&key), int8.get(&key)) else {
                unmeasured.push(key);
                continue;
            };
            figures.insert(format!("f32.{key}"), *was);
            figures.insert(format!("int8.{key}"), *is);
            // Figures are rounded to five digits: what is exactly at the limit passes.
            if was - is > most + 1e-9 {
                failed.push(format!("{key} falls from {was:.4} to {is:.4}, more than {most}"));
            }
        }
        let key = format!("{kind}.ece");
        if let (Some(was), Some(is)) = (exact.get(&key), int8.get(&key)) {
            figures.insert(format!("f32.{key}"), *was);
            figures.insert(format!("int8.{key}"), *is);
            if *is > ECE {
                failed.push(format!("{key} is {is:.4}, more than {ECE}"));
            }
        }
    }
    if !unmeasured.is_empty() {
        let names = unmeasured.join(", ");
        failed.push(format!("{names} not measured: no validation order is of a department with enough training orders"));
    }
    Int8Gate { passed: failed.is_empty(), figures, failed }
}

/// The verdict in a sentence.
pub fn verdict(gate: &Int8Gate) -> String {
    match gate.passed {
        true => "int8 passed the accuracy gate: precision = auto will serve in it".to_owned(),
        false => format!("int8 did not pass the accuracy gate, precision = auto stays with f32: {}", gate.failed.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of text alone; with the category all is as well as can be.
    fn metrics(accuracy: f64, macro_f1: f64, ece: f64) -> BTreeMap<String, f64> {
        let text = [("text_only.accuracy", accuracy), ("text_only.macro_f1", macro_f1), ("text_only.ece", ece)];
        let category = [("with_category.accuracy", 1.0), ("with_category.macro_f1", 1.0), ("with_category.ece", 0.0)];
        text.into_iter().chain(category).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn a_fall_within_the_limits_passes_and_both_figures_are_written_down() {
        let gate = int8(&metrics(0.82, 0.75, 0.029), &metrics(0.817, 0.745, 0.03));
        assert!(gate.passed, "{:?}", gate.failed);
        assert_eq!((gate.figures["f32.text_only.accuracy"], gate.figures["int8.text_only.accuracy"]), (0.82, 0.817));
    }

    #[test]
    fn each_limit_fails_alone_and_is_named() {
        for (bad, name) in [
            (metrics(0.8169, 0.75, 0.029), "accuracy"),
            (metrics(0.82, 0.7449, 0.029), "macro_f1"),
            (metrics(0.82, 0.75, 0.031), "ece"),
        ] {
            let gate = int8(&metrics(0.82, 0.75, 0.029), &bad);
            assert!(!gate.passed && gate.failed.len() == 1 && gate.failed[0].contains(name), "{:?}", gate.failed);
        }
    }

    #[test]
    fn nothing_measured_is_no_pass() {
        assert!(!int8(&BTreeMap::new(), &BTreeMap::new()).passed);
    }

    #[test]
    fn one_figure_that_was_not_measured_is_no_pass_and_is_named() {
        for name in ["text_only.accuracy", "with_category.macro_f1"] {
            let mut exact = metrics(0.82, 0.75, 0.029);
            exact.remove(name);
            let gate = int8(&exact, &exact);
            assert!(!gate.passed && gate.failed.len() == 1 && gate.failed[0].starts_with(name), "{:?}", gate.failed);
        }
    }
}
