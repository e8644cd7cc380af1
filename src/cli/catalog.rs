//! `paidan catalog`: whether a dispatch catalogue is sound, and what it says on a day.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use paidan::catalog::{CatalogDepartment, Day, DepartmentCatalog, InForce, Validity};

use super::output::{Paint, padded, width};
use super::setup::{Setup, catalog_folder, model_folder, open_router, today};
use super::{Failure, code};

/// Flags of `catalog`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  paidan catalog check catalog/haikou
  paidan catalog show 城管")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

/// What to do with the catalogue.
#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Read a whole catalogue; name every fault by file and line, and exit with 65 if there is one. With --model also name each
    /// department that the model knows and the catalogue does not: serve refuses such a pair
    #[command(after_help = "\
Example:
  paidan catalog check catalog/haikou
  paidan catalog check catalog/mycity --model models/mycity")]
    Check {
        /// Folder of the catalogue [default: as catalog.path says]
        folder: Option<PathBuf>,
    },
    /// Print the departments of a day, or all that is known of one
    #[command(after_help = "\
Example:
  paidan catalog show
  paidan catalog show --on 2018-01-31 城管")]
    Show {
        /// Id, name or alias of a department
        department: Option<String>,
        /// Day, such as 2026-03-01 [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<Day>,
    },
}

/// Checks or shows.
pub fn run(setup: &Setup, args: &Args) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match &args.action {
        Action::Check { folder } => {
            let folder = folder.clone().map_or_else(|| configured(setup), Ok)?;
            out.write_all(checked(setup, &folder)?.as_bytes())?;
        }
        Action::Show { department, on } => {
            let catalog = DepartmentCatalog::open(&configured(setup)?)?;
            let day = on.map_or_else(today, Ok)?;
            let shown = match department {
                None => all(&catalog, day),
                Some(name) => one(&catalog, name, day)?,
            };
            out.write_all(shown.as_bytes())?;
        }
    }
    Ok(())
}

fn configured(setup: &Setup) -> Result<PathBuf, Failure> {
    catalog_folder(&setup.configuration(&[])?).ok_or_else(|| {
        let words = "no catalogue is configured for this model; name one with --set catalog.path=FOLDER or PAIDAN_CATALOG_PATH";
        Failure::said(code::NO_INPUT, words)
    })
}

fn checked(setup: &Setup, folder: &Path) -> Result<String, Failure> {
    let catalog = DepartmentCatalog::open(folder)?;
    let DepartmentCatalog { city, version, districts, departments, units, matters, .. } = &catalog;
    let sound = format!(
        "the catalogue of {city}, version {version}, is sound: {} districts, {} departments, {} units, {} matters",
        districts.len(),
        departments.len(),
        units.len(),
        matters.len()
    );
    // Only where it is named here: a city may write its catalogue before it has a model.
    let fit = if setup.model.is_some() { fitting(setup, catalog)? } else { String::new() };
    Ok(format!("{sound}{fit}\n"))
}

/// Says that the model answers with this catalogue, or names each of its departments that is not in it.
fn fitting(setup: &Setup, catalog: DepartmentCatalog) -> Result<String, Failure> {
    let config = setup.configuration(&[])?;
    let router = open_router(&model_folder(&config)?, &config)?;
    let ids: Vec<String> = router.info().departments.iter().map(|department| department.id.clone()).collect();
    let lacking: Vec<String> =
        ids.iter().filter_map(|id| catalog.must_have([id.as_str()]).err()).map(|lacks| lacks.to_string()).collect();
    if !lacking.is_empty() {
        return Err(Failure::said(code::DATA, lacking.join("\n")));
    }
    let router = router.with_catalog(Arc::new(catalog))?;
    let info = router.info();
    Ok(format!("; it has all {} departments of the model {} {}", ids.len(), info.name, info.version))
}

fn head(catalog: &DepartmentCatalog, day: Day) -> String {
    let paint = Paint::for_stdout();
    let title = paint.strong(&format!("{}派单目录 {} · {day}", catalog.city, catalog.version));
    format!("{title}\n{}\n", paint.soft(&catalog.disclaimer))
}

fn all(catalog: &DepartmentCatalog, day: Day) -> String {
    let mut shown = head(catalog, day);
    let departments: Vec<&CatalogDepartment> = catalog.departments_on(day).collect();
    let cells = |name: fn(&CatalogDepartment) -> &str| departments.iter().map(|one| width(name(one))).max().unwrap_or(0);
    let (ids, names) = (cells(|one| &one.id), cells(|one| &one.name));
    for department in &departments {
        let duty = department.duties.first().map_or("", |duty| duty.text.as_str());
        let _ = writeln!(shown, "  {}  {}  {duty}", padded(&department.id, ids), padded(&department.name, names));
    }
    shown
}

fn one(catalog: &DepartmentCatalog, name: &str, day: Day) -> Result<String, Failure> {
    let found = match catalog.find(name, day) {
        Some(department) => vec![department],
        None => catalog.in_force(name, day).departments(),
    };
    if found.is_empty() {
        let day_words = format!("no department {name:?} in the catalogue of {} on {day}", catalog.city);
        return Err(Failure::said(code::DATA, day_words));
    }
    let mut shown = head(catalog, day);
    if let InForce::Successors { former, since, .. } = catalog.in_force(name, day) {
        let _ = writeln!(shown, "“{}”自 {since} 起由下列单位承接", former.name);
    }
    for department in found {
        of(catalog, department, &mut shown);
    }
    Ok(shown)
}

/// Everything that is known of a department. Writing to a string cannot fail.
fn of(catalog: &DepartmentCatalog, department: &CatalogDepartment, shown: &mut String) {
    let paint = Paint::for_stdout();
    let aliases =
        if department.aliases.is_empty() { String::new() } else { format!("（{}）", department.aliases.join("、")) };
    let name = paint.strong(&format!("{} {}", department.id, department.name));
    let _ = writeln!(shown, "{name}{aliases}{}", time(department.validity));
    if !department.successors.is_empty() {
        let _ = writeln!(shown, "  承接  {}", department.successors.join("、"));
    }
    for duty in &department.duties {
        let basis: Vec<String> = duty.basis.iter().map(ToString::to_string).collect();
        let _ = writeln!(shown, "  职责  {}（{}）", duty.text, basis.join("；"));
    }
    for unit in catalog.units.iter().filter(|unit| unit.department == department.id) {
        let words: Vec<String> = unit.words.entries().collect();
        let words = if words.is_empty() { String::new() } else { format!("（{}）", words.join("，")) };
        let district = unit.district.as_deref().unwrap_or("全市");
        let _ = writeln!(shown, "  单位  {}  {}{words}{}", padded(district, 6), unit.name, time(unit.validity));
    }
    for matter in &catalog.matters {
        let part = if matter.lead == department.id {
            "主办"
        } else if matter.supporting.contains(&department.id) {
            "协办"
        } else if matter.contesting.contains(&department.id) {
            "争议"
        } else {
            continue;
        };
        let _ = writeln!(shown, "  事项  {}  {part}", matter.name);
    }
}

fn time(validity: Validity) -> String {
    match (validity.from, validity.to) {
        (None, None) => String::new(),
        (Some(from), None) => format!(" {from} 起"),
        (None, Some(to)) => format!(" 至 {to}"),
        (Some(from), Some(to)) => format!(" {from} 至 {to}"),
    }
}
