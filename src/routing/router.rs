//! The router: an appeal goes in, a [`Decision`] comes out. Two steps, so that a service can tokenize on one thread and run the
//! model on another, over many appeals at once.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::Decision;
use super::active::ActiveCatalog;
use super::deciding::RawAnswer;
use super::dispute::Weigher;
use super::evidence::{self, Clause};
use super::jurisdiction::{Circumstances, day_of};
use super::matters::{self, PreparedPart};
use super::newcomers;
use super::passes::passes;
use super::returned::Objection;
use super::review;
use super::ruled;
use super::sentence::second_sentence;
use crate::catalog::{Day, DepartmentCatalog};
use crate::model::{
    Artifacts, ArtifactsError, CENTRES, Calibration, Cores, DEPARTMENT_WORDS, DISPUTE_WORDS, Department, DepartmentWords,
    DisputeWords, Encoder, HeadRows, Likeness, Look, ModelInfo, Sequence, Setting, Takeover,
};
use crate::rulings::{RulingBook, RulingId};
use crate::text::{Appeal, AppealError, AppealTokenizer, Encoding, clean};

/// An appeal ready for the encoder: cleaned, tokenized, its proposed departments found among the model's.
#[derive(Debug, Clone)]
pub struct PreparedAppeal {
    /// Token ids and their places in the text.
    pub encoding: Encoding,
    /// Parts of the text whose weight in the answer is asked.
    pub clauses: Vec<Clause>,
    /// Rows of the department head that the dispatcher proposed; none if one of the proposed is in [`Circumstances::unseen_proposals`].
    pub proposed: Vec<usize>,
    /// Whether the operator's category or type goes in as the second sentence.
    pub with_category: bool,
    /// What the catalogue and the rulings are asked about; `None` if there is no day to ask them for.
    pub circumstances: Option<Circumstances>,
    /// Returns of the order so far: whoever objected is not named again.
    pub objections: Vec<Objection>,
    /// Stretches of the text that may be matters of their own; empty if it cannot be several.
    pub parts: Vec<PreparedPart>,
}

impl PreparedAppeal {
    /// The same of an order that came back, and perhaps was settled by a ruling. Whoever objected is known by all names that the
    /// appeal's catalogue has for the office.
    #[must_use]
    pub fn returned(mut self, objections: Vec<Objection>, settled_by: Option<RulingId>) -> Self {
        if let Some(circumstances) = &mut self.circumstances {
            circumstances.settled_by = settled_by;
        }
        let catalog = self.circumstances.as_ref().and_then(Circumstances::catalog).map(Arc::as_ref);
        self.objections = objections.into_iter().map(|one| one.under_all_names(catalog)).collect();
        self
    }

    /// The same as an appeal that is no order yet: nothing was decided on it.
    #[must_use]
    pub fn unnumbered(mut self) -> Self {
        if let Some(circumstances) = &mut self.circumstances {
            circumstances.order.clear();
            circumstances.settled_by = None;
        }
        self
    }

    /// Without its objections if the ruling that settled them, or one in its place, is in the book: what was decided is objected to
    /// no more. Where that ruling counts no longer, they do again.
    fn heeding(&self, book: &RulingBook) -> Cow<'_, Self> {
        let settled = self.circumstances.as_ref().filter(|appeal| appeal.settled_by.is_some());
        match settled.and_then(|appeal| ruled::on_order(book, appeal)) {
            Some(_) => Cow::Owned(Self { objections: Vec::new(), ..self.clone() }),
            None => Cow::Borrowed(self),
        }
    }

    /// What it costs to read: the tokens that the encoder will see.
    pub fn tokens(&self) -> usize {
        self.encoding.ids.len() + self.parts.iter().map(|part| part.appeal.tokens()).sum::<usize>()
    }
}

/// Why an appeal was not routed.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The caller's appeal is at fault.
    #[error(transparent)]
    Appeal(#[from] AppealError),
    /// The model could not be run: our fault.
    #[error("model: {0}")]
    Model(String),
}

/// What was proposed: for each name who is meant by it, and their rows of the head, or departments that it has none for.
#[derive(Default)]
struct Proposed {
    meant: Vec<Vec<Arc<Department>>>,
    rows: Vec<usize>,
    unseen: Vec<Arc<Department>>,
}

/// Routes appeals with one model. Cheap to share by `Arc`; nothing changes after it was opened but the book of rulings and the
/// catalogue, each of which is exchanged whole.
pub struct Router {
    pub(super) info: ModelInfo,
    pub(super) tokenizer: AppealTokenizer,
    pub(super) encoder: Encoder,
    pub(super) calibration: Calibration,
    /// Mean embedding of each department's training orders; empty if the model has none.
    pub(super) centres: Vec<Vec<f32>>,
    /// What the words alone say of who is responsible; `None` if nobody asked them.
    pub(super) department_words: Option<DepartmentWords>,
    /// Weighs the witnesses of a dispute; `None` if the folder is from before there were any.
    pub(super) weigher: Option<Weigher>,
    /// Who takes over from whom; `None` if nobody counted.
    pub(super) takeover: Option<Takeover>,
    /// Who does what, if somebody said. An appeal keeps the one that it was prepared with.
    pub(super) active: RwLock<Option<Arc<ActiveCatalog>>>,
    /// What was ruled. A batch reads one book from its first appeal to its last.
    rulings: RwLock<Arc<RulingBook>>,
}

impl Router {
    /// Opens a model folder: checks every file's checksum, shape and label map before it answers. In int8 if the model passed
    /// the accuracy gate, otherwise in f32.
    pub fn open(folder: &Path) -> Result<Self, ArtifactsError> {
        Self::open_with(folder, Setting::default())
    }

    /// The same in the precision that `setting` asks for.
    pub fn open_with(folder: &Path, setting: Setting) -> Result<Self, ArtifactsError> {
        Self::from_artifacts(Artifacts::open(folder)?, setting)
    }

    /// A router over a folder that was read already.
    pub fn from_artifacts(artifacts: Artifacts, setting: Setting) -> Result<Self, ArtifactsError> {
        if artifacts.departments.len() < 2 {
            return Err(ArtifactsError::NoDepartmentHead { folder: artifacts.folder });
        }
        let malformed = |file: &str, reason: String| ArtifactsError::Malformed { path: artifacts.folder.join(file), reason };
        let tokenizer = AppealTokenizer::from_bytes(&artifacts.tokenizer)
            .map_err(|error| malformed(crate::model::file::TOKENIZER, error.to_string()))?;
        if tokenizer.vocab_size() > artifacts.config.vocab_size {
            let reason =
                format!("{} words, but the model has {} embeddings", tokenizer.vocab_size(), artifacts.config.vocab_size);
            return Err(malformed(crate::model::file::TOKENIZER, reason));
        }
        let weights = |error: candle_core::Error| malformed(crate::model::file::WEIGHTS, error.to_string());
        let centres = match artifacts.tensors.get(CENTRES) {
            Some(centres) => centres.to_vec2().map_err(weights)?,
            None => Vec::new(),
        };
        let words = artifacts.tensors.get(DISPUTE_WORDS).map(DisputeWords::from_tensor).transpose().map_err(weights)?;
        let department_words =
            artifacts.tensors.get(DEPARTMENT_WORDS).map(DepartmentWords::from_tensor).transpose().map_err(weights)?;
        let weigher = artifacts.dispute.clone().map(|model| Weigher::new(model, words, &artifacts.departments));
        let refused = |source| ArtifactsError::Precision { folder: artifacts.folder.clone(), source };
        let encoder = Encoder::new(&artifacts, setting).map_err(refused)?;
        let info =
            ModelInfo { precision: encoder.precision().to_string(), kernel: encoder.kernel().to_string(), ..artifacts.info() };
        let rulings = RwLock::new(Arc::new(RulingBook::new(info.embedding_size, &centres)));
        let calibration = artifacts.calibration;
        let takeover = Takeover::of(&calibration.redispatches, &info.departments)
            .map(|takeover| takeover.with_strength(calibration.takeover_strength));
        let active = RwLock::new(None);
        Ok(Self { info, tokenizer, encoder, calibration, centres, department_words, weigher, takeover, active, rulings })
    }

    /// The book of rulings that the next batch will read. Empty at first.
    pub fn rulings(&self) -> Arc<RulingBook> {
        // Whoever panicked while it held the lock had exchanged the whole book, or nothing.
        Arc::clone(&self.rulings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A book for this model with nothing in it.
    pub fn empty_book(&self) -> RulingBook {
        RulingBook::new(self.info.embedding_size, &self.centres)
    }

    /// Exchanges the book: the next batch reads this one. Refused if its embeddings are not as long as this model's.
    pub fn set_rulings(&self, book: Arc<RulingBook>) -> Result<(), RouteError> {
        let (given, own) = (book.width(), self.info.embedding_size);
        if given != own {
            return Err(RouteError::Model(format!("the rulings' embeddings are {given} long, this model's are {own}")));
        }
        *self.rulings.write().unwrap_or_else(PoisonError::into_inner) = book;
        Ok(())
    }

    /// How like an appeal must be to a ruling, as it was measured for this model.
    pub fn likeness(&self) -> &Likeness {
        &self.calibration.precedents
    }

    /// Least mean cosine of disputes that are one that comes back, as it was measured for this model.
    pub fn recurrence_similarity(&self) -> f32 {
        self.calibration.recurrence_similarity
    }

    /// What the encoder computes in, and by which instructions, for people.
    pub fn computes_in(&self) -> String {
        self.encoder.description()
    }

    /// What is loaded: version, departments, limits, measured quality.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Finds a department by id or name.
    pub fn department(&self, id_or_name: &str) -> Option<&Arc<Department>> {
        self.info.departments.get(self.department_row(id_or_name)?)
    }

    /// Its row in the department head.
    pub fn department_row(&self, id_or_name: &str) -> Option<usize> {
        self.info.departments.iter().position(|department| department.id == id_or_name || department.name == id_or_name)
    }

    /// As [`Self::prepare_on`] without a day: the catalogue and the standing rulings are then asked only if the appeal says when it was received.
    pub fn prepare(&self, appeal: &Appeal) -> Result<PreparedAppeal, RouteError> {
        self.prepared(appeal, None)
    }

    /// Cleans and tokenizes an appeal that is routed today: what is not received on a day of its own was received today. Errs
    /// only for what the caller sent: a proposed department that nobody knows.
    pub fn prepare_on(&self, appeal: &Appeal, today: Day) -> Result<PreparedAppeal, RouteError> {
        self.prepared(appeal, Some(today))
    }

    fn prepared(&self, appeal: &Appeal, today: Option<Day>) -> Result<PreparedAppeal, RouteError> {
        let fields = appeal.fields();
        let day = day_of(&fields.received_at).or(today);
        // One catalogue from here to the answer, whatever is put in its place meanwhile.
        let active = self.active();
        let catalog = active.as_deref().map(|active| &*active.catalog).zip(day);
        let Proposed { meant: proposals, rows: proposed, unseen: unseen_proposals } =
            self.proposed(&fields.proposed_departments, catalog)?;
        let text = clean(&fields.text);
        let second = second_sentence(&fields.category, &fields.appeal_type);
        let encoding = self
            .tokenizer
            .encode(&text, second.as_deref(), self.info.max_tokens)
            .map_err(|error| RouteError::Model(error.to_string()))?;
        let clauses = evidence::clauses(&fields.text, &encoding);
        let parts = self.prepared_parts(fields, &text, day, active.as_ref())?;
        let of = |day| Circumstances { proposals, unseen_proposals, active, ..Circumstances::of(fields, day) };
        let circumstances = day.map(of);
        let with_category = second.is_some();
        Ok(PreparedAppeal { encoding, clauses, proposed, with_category, circumstances, objections: Vec::new(), parts })
    }

    /// What the dispatcher proposed, as the model and the catalogue of the day know it.
    fn proposed(&self, names: &[String], catalog: Option<(&DepartmentCatalog, Day)>) -> Result<Proposed, RouteError> {
        let mut proposed = Proposed::default();
        for name in names {
            let meant = self.meant(name, catalog);
            let rows = self.rows_on(name, &meant, catalog);
            let of_the_day = catalog.and_then(|(catalog, day)| catalog.find(name, day));
            match of_the_day.filter(|_| rows.is_empty()) {
                Some(unseen) => proposed.unseen.push(newcomers::as_department(unseen)),
                None if rows.is_empty() => return Err(review::unknown_department(name, &self.info.departments).into()),
                None => proposed.rows.extend(rows),
            }
            proposed.meant.push(meant);
        }
        proposed.rows.sort_unstable();
        proposed.rows.dedup();
        // Of a dispatch to several the model has learnt nothing if it knows only some of them.
        if !proposed.unseen.is_empty() {
            proposed.rows.clear();
        }
        Ok(proposed)
    }

    /// Who is meant by a name on a day. Whoever is named by what the office was called before is whoever answers for it now; nobody,
    /// if neither the catalogue nor the model knows the name.
    fn meant(&self, id_or_name: &str, catalog: Option<(&DepartmentCatalog, Day)>) -> Vec<Arc<Department>> {
        let own = self.department(id_or_name);
        let of_the_day = catalog.map(|(catalog, day)| {
            let heirs = || own.map(|own| catalog.in_force(&own.id, day).departments()).unwrap_or_default();
            catalog.find(id_or_name, day).map_or_else(heirs, |meant| vec![meant])
        });
        match of_the_day {
            Some(meant) if !meant.is_empty() => meant.into_iter().map(newcomers::as_department).collect(),
            _ => own.into_iter().cloned().collect(),
        }
    }

    /// The rows of the head that a name stands for by whom it means: its own, or, by the catalogue of a day, those of the departments
    /// that they took over from.
    fn rows_on(&self, id_or_name: &str, meant: &[Arc<Department>], catalog: Option<(&DepartmentCatalog, Day)>) -> Vec<usize> {
        let own = || self.department_row(id_or_name).into_iter().collect();
        let Some((catalog, day)) = catalog else { return own() };
        let answers = |id: &str| {
            let heirs = catalog.in_force(id, day).departments();
            heirs.iter().any(|heir| meant.iter().any(|meant| meant.id == heir.id))
        };
        let rows: Vec<usize> =
            (0..self.info.departments.len()).filter(|row| answers(&self.info.departments[*row].id)).collect();
        if rows.is_empty() { own() } else { rows }
    }

    /// Runs the encoder over the batch, on all cores: one decision for each, in order. The answer for an appeal does not
    /// depend on what else is in the batch.
    pub fn route(&self, batch: &[PreparedAppeal]) -> Result<Vec<Decision>, RouteError> {
        self.route_on(batch, Cores::All)
    }

    /// The same, on all cores or on the caller's alone.
    pub fn route_on(&self, batch: &[PreparedAppeal], cores: Cores) -> Result<Vec<Decision>, RouteError> {
        // One book from the first appeal to the last.
        let book = self.rulings();
        let batch: Vec<Cow<'_, PreparedAppeal>> = batch.iter().map(|appeal| appeal.heeding(&book)).collect();
        // A part is read as an appeal is, in the same pass.
        let all: Vec<&PreparedAppeal> = batch
            .iter()
            .flat_map(|appeal| std::iter::once(&**appeal).chain(appeal.parts.iter().map(|part| &part.appeal)))
            .collect();
        let mut decisions = Vec::with_capacity(all.len());
        for pass in passes(&all, |appeal| appeal.encoding.ids.len()) {
            decisions.extend(self.route_each(pass, &book, cores)?);
        }
        let mut decisions = decisions.into_iter();
        let mut answers = Vec::with_capacity(batch.len());
        for appeal in &batch {
            answers.extend(decisions.next().map(|mut decision| {
                let chars = appeal.parts.iter().map(|part| part.chars.clone());
                matters::tell(&mut decision, &appeal.objections, chars.zip(decisions.by_ref()).collect());
                decision
            }));
        }
        Ok(answers)
    }

    /// One decision for each, whatever belongs together.
    fn route_each(&self, batch: &[&PreparedAppeal], book: &RulingBook, cores: Cores) -> Result<Vec<Decision>, RouteError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let sequences: Vec<Sequence<'_>> = batch
            .iter()
            .map(|PreparedAppeal { encoding, .. }| Sequence { ids: &encoding.ids, type_ids: &encoding.type_ids })
            .collect();
        let mut looks = Vec::new();
        for (sequence, appeal) in batch.iter().enumerate() {
            looks.push(Look { sequence, hidden: 0..0 });
            looks.extend(appeal.clauses.iter().map(|clause| Look { sequence, hidden: clause.tokens.clone() }));
        }
        let output = self.encoder.forward(&sequences, &looks, cores).map_err(|error| RouteError::Model(error.to_string()))?;
        let HeadRows { department_logits, dispute_logits, embeddings } = &output;
        let logits: Vec<&[f32]> = department_logits.chunks_exact(self.info.departments.len()).collect();
        let embeddings: Vec<&[f32]> = embeddings.chunks_exact(self.info.embedding_size).collect();
        let firsts: Vec<usize> =
            batch.iter().scan(0, |row, appeal| Some(std::mem::replace(row, *row + 1 + appeal.clauses.len()))).collect();
        let circumstances: Vec<_> = batch.iter().map(|appeal| appeal.circumstances.as_ref()).collect();
        let whole: Vec<&[f32]> = firsts.iter().map(|row| embeddings[*row]).collect();
        let like = ruled::like(book, &self.calibration.precedents, &circumstances, &whole);
        let mut decisions = Vec::with_capacity(batch.len());
        for ((appeal, row), like) in batch.iter().zip(firsts).zip(like) {
            let rows = row..row + 1 + appeal.clauses.len();
            let margins = self.word_margins(appeal);
            let raw = RawAnswer {
                logits: logits[row],
                without_clause: &logits[rows.start + 1..rows.end],
                margins: &margins,
                dispute_logit: dispute_logits.as_ref().map(|logits| logits[row]),
                embedding: embeddings[row],
            };
            decisions.push(self.decide(appeal, &raw, book, like)?);
        }
        Ok(decisions)
    }
}
