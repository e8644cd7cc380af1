//! A catalogue as it is written: every entry with the lines of its values, nothing held against anything else yet.

use std::io::Read;
use std::path::Path;

use super::fault::did_you_mean;
use super::holidays::{self, Holidays};
use super::sheet::{Located, Place, Section, Sheet};
use super::{Basis, CatalogDepartment, CatalogError, District, Duty, Fault, Level, Matter, Unit, Validity, Words};

/// The files of a catalogue.
pub mod file {
    /// Version, city, disclaimer and districts.
    pub const CATALOG: &str = "catalog.toml";
    /// Departments.
    pub const DEPARTMENTS: &str = "departments.toml";
    /// Units.
    pub const UNITS: &str = "units.toml";
    /// Matters.
    pub const MATTERS: &str = "matters.toml";
    /// Holidays; may be missing.
    pub const HOLIDAYS: &str = "holidays.toml";
    /// All that must be there.
    pub const ALL: [&str; 4] = [CATALOG, DEPARTMENTS, UNITS, MATTERS];
}

/// The longest file that is read: a large city's catalogue has a tenth of it.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// An entry with the places of those of its values that other entries are held against.
pub struct Entry<T> {
    /// The entry.
    pub value: T,
    /// Its first line.
    pub place: Place,
    marks: Vec<(&'static str, Located<String>)>,
}

impl<T> Entry<T> {
    fn new(value: T, place: Place) -> Self {
        Self { value, place, marks: Vec::new() }
    }

    fn mark(&mut self, key: &'static str, text: Option<Located<String>>) {
        self.marks.extend(text.map(|text| (key, text)));
    }

    /// Every value of a key with its place.
    pub fn marked(&self, key: &str) -> impl Iterator<Item = &Located<String>> {
        self.marks.iter().filter(move |(of, _)| *of == key).map(|(_, text)| text)
    }

    /// Where a key stands, or the entry's first line.
    pub fn at(&self, key: &str) -> &Place {
        self.marked(key).next().map_or(&self.place, |text| &text.place)
    }
}

/// All that the four files say.
#[derive(Default)]
pub struct Draft {
    pub version: String,
    pub city: String,
    pub disclaimer: String,
    pub districts: Vec<Entry<District>>,
    pub departments: Vec<Entry<CatalogDepartment>>,
    pub units: Vec<Entry<Unit>>,
    pub matters: Vec<Entry<Matter>>,
    pub holidays: Holidays,
    /// Files that could be read as TOML. What a broken file would have said is not missed anywhere else.
    pub whole: bool,
}

/// Reads all files of a folder, and all that is wrong in each by itself.
pub fn read(folder: &Path) -> Result<(Draft, Vec<Fault>), CatalogError> {
    let unreadable = |path: &Path, source| CatalogError::Unreadable { path: path.to_owned(), source };
    let way_out = |error: std::io::Error| match error.kind() {
        kind @ std::io::ErrorKind::NotADirectory => {
            std::io::Error::new(kind, format!("is a file; name the folder that has {}", file::CATALOG))
        }
        _ => error,
    };
    let mut faults = strangers(folder).map_err(|error| unreadable(folder, way_out(error)))?;
    let mut draft = Draft { whole: true, ..Draft::default() };
    for name in file::ALL.into_iter().chain([file::HOLIDAYS]) {
        let path = folder.join(name);
        let shown = path.display().to_string();
        let missing = |reason: &str| Place { file: shown.as_str().into(), line: 1 }.fault(reason);
        let mut bytes = Vec::new();
        match std::fs::File::open(&path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name == file::HOLIDAYS => continue,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                faults.push(missing("the file is missing"));
                draft.whole = false;
                continue;
            }
            Err(error) => return Err(unreadable(&path, error)),
            Ok(_) => {}
        }
        let text = if bytes.len() as u64 > MAX_FILE_BYTES { None } else { String::from_utf8(bytes).ok() };
        let Some(text) = text else {
            faults.push(missing("not UTF-8, or larger than 16 MiB"));
            draft.whole = false;
            continue;
        };
        let (mut sheet, document) = Sheet::parse(&shown, text);
        match &document {
            Some(document) => draft.take(&mut sheet, name, Sheet::root(document)),
            None => draft.whole = false,
        }
        faults.append(&mut sheet.faults);
    }
    Ok((draft, faults))
}

/// TOML files that nobody reads: a misspelt name would otherwise be a catalogue without matters.
fn strangers(folder: &Path) -> std::io::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".toml") && name != file::HOLIDAYS && !file::ALL.contains(&name.as_str()) {
            let place = Place { file: folder.join(&name).display().to_string().into(), line: 1 };
            faults.push(place.fault(format!("no file of a catalogue{}", did_you_mean(&name, file::ALL))));
        }
    }
    Ok(faults)
}

impl Draft {
    fn take(&mut self, sheet: &mut Sheet, name: &str, root: Section<'_>) {
        match name {
            file::CATALOG => {
                sheet.only(root, &["version", "city", "disclaimer", "district"]);
                self.version = required(sheet, root, "version");
                self.city = required(sheet, root, "city");
                self.disclaimer = required(sheet, root, "disclaimer");
                self.districts = sheet.sections(root, "district").into_iter().map(|one| district(sheet, one)).collect();
            }
            file::DEPARTMENTS => {
                sheet.only(root, &["department"]);
                self.departments = sheet.sections(root, "department").into_iter().map(|one| department(sheet, one)).collect();
            }
            file::UNITS => {
                sheet.only(root, &["unit"]);
                self.units = sheet.sections(root, "unit").into_iter().map(|one| unit(sheet, one)).collect();
            }
            file::HOLIDAYS => self.holidays = holidays::read(sheet, root),
            _ => {
                sheet.only(root, &["matter"]);
                self.matters = sheet.sections(root, "matter").into_iter().map(|one| matter(sheet, one)).collect();
            }
        }
    }
}

fn required(sheet: &mut Sheet, section: Section<'_>, key: &str) -> String {
    sheet.required(section, key).map(|text| text.value).unwrap_or_default()
}

fn texts(sheet: &mut Sheet, section: Section<'_>, key: &str) -> Vec<String> {
    sheet.texts(section, key).into_iter().map(|text| text.value).collect()
}

fn district(sheet: &mut Sheet, section: Section<'_>) -> Entry<District> {
    sheet.only(section, &["name", "aliases"]);
    let district = District { name: required(sheet, section, "name"), aliases: texts(sheet, section, "aliases") };
    Entry::new(district, sheet.place_of(section))
}

fn department(sheet: &mut Sheet, section: Section<'_>) -> Entry<CatalogDepartment> {
    sheet.only(section, &["id", "name", "aliases", "valid_from", "valid_to", "successors", "duty"]);
    let id = sheet.required(section, "id");
    let name = required(sheet, section, "name");
    let successors = sheet.texts(section, "successors");
    let (validity, days) = validity(sheet, section);
    let duties: Vec<Duty> = sheet.sections(section, "duty").into_iter().map(|one| duty(sheet, one)).collect();
    let place = sheet.place_of(section);
    if duties.is_empty() {
        sheet.faults.push(place.fault(format!("department {name:?} has no [[department.duty]]")));
    }
    let value = CatalogDepartment {
        id: id.as_ref().map(|id| id.value.clone()).unwrap_or_default(),
        name,
        aliases: texts(sheet, section, "aliases"),
        duties,
        validity,
        successors: successors.iter().map(|one| one.value.clone()).collect(),
    };
    let mut entry = Entry::new(value, place);
    entry.mark("id", id);
    days.into_iter().for_each(|(key, day)| entry.mark(key, Some(day)));
    successors.into_iter().for_each(|one| entry.mark("successors", Some(one)));
    entry
}

fn duty(sheet: &mut Sheet, section: Section<'_>) -> Duty {
    sheet.only(section, &["text", "words", "basis"]);
    let text = required(sheet, section, "text");
    let told = sheet.faults.len();
    let basis = basis(sheet, section);
    if basis.is_empty() && sheet.faults.len() == told {
        let place = sheet.place_of(section);
        sheet.faults.push(place.fault("the duty has no basis; write basis = [{ level = \"三定\" }] at least"));
    }
    Duty { text, words: words(sheet, section, "words"), basis }
}

fn basis(sheet: &mut Sheet, section: Section<'_>) -> Vec<Basis> {
    let mut all = Vec::new();
    for one in sheet.sections(section, "basis") {
        sheet.only(one, &["level", "document", "article"]);
        let document = sheet.text(one, "document").map(|text| text.value).unwrap_or_default();
        let article = sheet.text(one, "article").map(|text| text.value).unwrap_or_default();
        let Some(name) = sheet.required(one, "level") else { continue };
        match Level::parse(&name.value) {
            None => {
                let reason = format!("basis level {:?} is none of {}", name.value, Level::ALL.join(", "));
                sheet.faults.push(name.place.fault(reason));
            }
            Some(level) if level.needs_document() && document.is_empty() => {
                sheet.faults.push(name.place.fault(format!("a basis of level {level} needs its document")));
            }
            Some(level) => all.push(Basis { level, document, article }),
        }
    }
    all
}

fn words(sheet: &mut Sheet, section: Section<'_>, key: &str) -> Words {
    let entries = sheet.texts(section, key);
    Words::parse(entries.iter().map(|entry| entry.value.as_str())).unwrap_or_else(|reason| {
        let place = entries.first().map_or_else(|| sheet.place_of(section), |entry| entry.place.clone());
        sheet.faults.push(place.fault(format!("{key}: {reason}")));
        Words::default()
    })
}

/// `valid_from` and `valid_to`, with their places.
fn validity(sheet: &mut Sheet, section: Section<'_>) -> (Validity, Vec<(&'static str, Located<String>)>) {
    let (from, to) = (sheet.day(section, "valid_from"), sheet.day(section, "valid_to"));
    let validity = Validity { from: from.as_ref().map(|day| day.value), to: to.as_ref().map(|day| day.value) };
    let days = [("valid_from", from), ("valid_to", to)].into_iter().filter_map(|(key, day)| {
        let day = day?;
        Some((key, Located { value: day.value.to_string(), place: day.place }))
    });
    (validity, days.collect())
}

fn unit(sheet: &mut Sheet, section: Section<'_>) -> Entry<Unit> {
    sheet.only(section, &["name", "department", "district", "words", "valid_from", "valid_to"]);
    let (department, district) = (sheet.required(section, "department"), sheet.text(section, "district"));
    let (validity, days) = validity(sheet, section);
    let value = Unit {
        name: required(sheet, section, "name"),
        department: department.as_ref().map(|one| one.value.clone()).unwrap_or_default(),
        district: district.as_ref().map(|one| one.value.clone()),
        words: words(sheet, section, "words"),
        validity,
    };
    let mut entry = Entry::new(value, sheet.place_of(section));
    entry.mark("department", department);
    entry.mark("district", district);
    days.into_iter().for_each(|(key, day)| entry.mark(key, Some(day)));
    entry
}

fn matter(sheet: &mut Sheet, section: Section<'_>) -> Entry<Matter> {
    sheet.only(section, &["id", "name", "words", "without", "lead", "supporting", "contesting", "basis"]);
    let (id, lead) = (sheet.required(section, "id"), sheet.required(section, "lead"));
    let (supporting, contesting) = (sheet.texts(section, "supporting"), sheet.texts(section, "contesting"));
    let value = Matter {
        id: id.as_ref().map(|one| one.value.clone()).unwrap_or_default(),
        name: required(sheet, section, "name"),
        words: words(sheet, section, "words"),
        without: words(sheet, section, "without"),
        lead: lead.as_ref().map(|one| one.value.clone()).unwrap_or_default(),
        supporting: supporting.iter().map(|one| one.value.clone()).collect(),
        contesting: contesting.iter().map(|one| one.value.clone()).collect(),
        basis: basis(sheet, section),
    };
    let mut entry = Entry::new(value, sheet.place_of(section));
    entry.mark("id", id);
    entry.mark("lead", lead);
    supporting.into_iter().for_each(|one| entry.mark("supporting", Some(one)));
    contesting.into_iter().for_each(|one| entry.mark("contesting", Some(one)));
    entry
}
