//! The router: an appeal goes in, a [`Decision`] comes out. Two steps, so that a service can tokenize on one thread and run the
//! model on another, over many appeals at once.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::dispute::{self, Asked, Weighed, Weigher, Witnesses};
use super::evidence::{self, Clause};
use super::jurisdiction::{Circumstances, Jurisdiction, OfTheDay, day_of};
use super::reason;
use super::review;
use super::ruled::{self, Rulings};
use super::sentence::second_sentence;
use super::{Decision, RankedDepartment};
use crate::catalog::{CatalogError, Day, DepartmentCatalog};
use crate::model::calibration::Scales;
use crate::model::{
    Artifacts, ArtifactsError, CENTRES, Calibration, Cores, DISPUTE_WORDS, Department, DisputeWords, Encoder, HeadRows,
    Likeness, Look, ModelInfo, Sequence, Setting,
};
use crate::rulings::{Precedent, RulingBook};
use crate::text::{Appeal, AppealError, AppealTokenizer, Encoding, clean};

/// An appeal ready for the encoder: cleaned, tokenized, its proposed departments found among the model's.
#[derive(Debug, Clone)]
pub struct PreparedAppeal {
    /// Token ids and their places in the text.
    pub encoding: Encoding,
    /// Parts of the text whose weight in the answer is asked.
    pub clauses: Vec<Clause>,
    /// Rows of the department head that the dispatcher proposed.
    pub proposed: Vec<usize>,
    /// Whether the operator's category or type goes in as the second sentence.
    pub with_category: bool,
    /// What the catalogue and the rulings are asked about; `None` if there is no day to ask them for.
    pub circumstances: Option<Circumstances>,
}

impl PreparedAppeal {
    /// What it costs to read: the tokens that the encoder will see.
    pub fn tokens(&self) -> usize {
        self.encoding.ids.len()
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

/// Routes appeals with one model. Cheap to share by `Arc`; nothing changes after it was opened but the book of rulings, which is
/// exchanged whole.
pub struct Router {
    info: ModelInfo,
    tokenizer: AppealTokenizer,
    encoder: Encoder,
    calibration: Calibration,
    /// Mean embedding of each department's training orders; empty if the model has none.
    centres: Vec<Vec<f32>>,
    /// Weighs the witnesses of a dispute; `None` if the folder is from before there were any.
    weigher: Option<Weigher>,
    /// Who does what, if somebody said.
    catalog: Option<Arc<DepartmentCatalog>>,
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
        let weigher = artifacts.dispute.clone().map(|model| Weigher::new(model, words, &artifacts.departments));
        let refused = |source| ArtifactsError::Precision { folder: artifacts.folder.clone(), source };
        let encoder = Encoder::new(&artifacts, setting).map_err(refused)?;
        let info =
            ModelInfo { precision: encoder.precision().to_string(), kernel: encoder.kernel().to_string(), ..artifacts.info() };
        let rulings = RwLock::new(Arc::new(RulingBook::new(info.embedding_size)));
        Ok(Self { info, tokenizer, encoder, calibration: artifacts.calibration, centres, weigher, catalog: None, rulings })
    }

    /// The same router, answering with a catalogue. Each department of the model must be in it.
    pub fn with_catalog(mut self, catalog: Arc<DepartmentCatalog>) -> Result<Self, CatalogError> {
        catalog.must_have(self.info.departments.iter().map(|department| department.id.as_str()))?;
        self.catalog = Some(catalog);
        Ok(self)
    }

    /// The catalogue that it answers with.
    pub fn catalog(&self) -> Option<&Arc<DepartmentCatalog>> {
        self.catalog.as_ref()
    }

    /// The book of rulings that the next batch will read. Empty at first.
    pub fn rulings(&self) -> Arc<RulingBook> {
        // Whoever panicked while it held the lock had exchanged the whole book, or nothing.
        Arc::clone(&self.rulings.read().unwrap_or_else(PoisonError::into_inner))
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

    /// The embeddings of texts, each of length one: what a decision on the same text alone has.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, RouteError> {
        const PASS_TOKENS: usize = 4096;
        let encode = |text: &&str| self.tokenizer.encode(&clean(text), None, self.info.max_tokens);
        let encodings: Vec<Encoding> =
            texts.iter().map(encode).collect::<Result<_, _>>().map_err(|error| RouteError::Model(error.to_string()))?;
        let mut embeddings = Vec::with_capacity(texts.len());
        let mut rest = encodings.as_slice();
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = rest.iter().take_while(|encoding| {
                tokens += encoding.ids.len();
                tokens <= PASS_TOKENS
            });
            let (pass, later) = rest.split_at(fits.count().max(1));
            let sequences: Vec<Sequence<'_>> =
                pass.iter().map(|encoding| Sequence { ids: &encoding.ids, type_ids: &encoding.type_ids }).collect();
            let looks: Vec<Look> = (0..pass.len()).map(|sequence| Look { sequence, hidden: 0..0 }).collect();
            let output = self.encoder.forward(&sequences, &looks, Cores::All);
            let output = output.map_err(|error| RouteError::Model(error.to_string()))?;
            embeddings.extend(output.embeddings.chunks_exact(self.info.embedding_size).map(<[f32]>::to_vec));
            rest = later;
        }
        Ok(embeddings)
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
        let mut proposed = Vec::with_capacity(fields.proposed_departments.len());
        for name in &fields.proposed_departments {
            let rows = self.rows_on(name, day);
            if rows.is_empty() {
                return Err(review::unknown_department(name, &self.info.departments).into());
            }
            proposed.extend(rows);
        }
        proposed.sort_unstable();
        proposed.dedup();
        let text = clean(&fields.text);
        let second = second_sentence(&fields.category, &fields.appeal_type);
        let encoding = self
            .tokenizer
            .encode(&text, second.as_deref(), self.info.max_tokens)
            .map_err(|error| RouteError::Model(error.to_string()))?;
        let clauses = evidence::clauses(&fields.text, &encoding);
        let circumstances = day.map(|day| Circumstances::of(fields, day));
        Ok(PreparedAppeal { encoding, clauses, proposed, with_category: second.is_some(), circumstances })
    }

    /// The rows of the head that a department stands for: its own, or, by the catalogue of a day, those of the departments that
    /// it took over from.
    fn rows_on(&self, id_or_name: &str, day: Option<Day>) -> Vec<usize> {
        if let Some(row) = self.department_row(id_or_name) {
            return vec![row];
        }
        let (Some(catalog), Some(day)) = (&self.catalog, day) else { return Vec::new() };
        let Some(meant) = catalog.find(id_or_name, day) else { return Vec::new() };
        let answers = |id: &str| catalog.in_force(id, day).departments().iter().any(|department| department.id == meant.id);
        (0..self.info.departments.len()).filter(|row| answers(&self.info.departments[*row].id)).collect()
    }

    /// Runs the encoder once over the batch, on all cores: one decision for each, in order. The answer for an appeal does not
    /// depend on what else is in the batch.
    pub fn route(&self, batch: &[PreparedAppeal]) -> Result<Vec<Decision>, RouteError> {
        self.route_on(batch, Cores::All)
    }

    /// The same, on all cores or on the caller's alone.
    pub fn route_on(&self, batch: &[PreparedAppeal], cores: Cores) -> Result<Vec<Decision>, RouteError> {
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
        let book = self.rulings();
        let circumstances: Vec<_> = batch.iter().map(|appeal| appeal.circumstances.as_ref()).collect();
        let whole: Vec<&[f32]> = firsts.iter().map(|row| embeddings[*row]).collect();
        let like = ruled::like(&book, &self.calibration.precedents, &circumstances, &whole);
        let mut decisions = Vec::with_capacity(batch.len());
        for ((appeal, row), like) in batch.iter().zip(firsts).zip(like) {
            let rows = row..row + 1 + appeal.clauses.len();
            let raw = RawAnswer {
                logits: logits[row],
                without_clause: &logits[rows.start + 1..rows.end],
                dispute_logit: dispute_logits.as_ref().map(|logits| logits[row]),
                embedding: embeddings[row],
            };
            decisions.push(self.decide(appeal, &raw, &book, like)?);
        }
        Ok(decisions)
    }

    /// From logits to a decision: calibrate, rank, weigh the evidence, say what a person should look at, ask the rulings.
    fn decide(
        &self,
        appeal: &PreparedAppeal,
        raw: &RawAnswer<'_>,
        book: &RulingBook,
        like: Vec<Precedent>,
    ) -> Result<Decision, RouteError> {
        if raw.logits.iter().any(|logit| !logit.is_finite()) {
            return Err(RouteError::Model("the encoder gave values that are no numbers".to_owned()));
        }
        let probabilities = self.scales(appeal).department_probabilities(raw.logits);
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]).then(a.cmp(b)));
        let ranked = |row: &usize| RankedDepartment {
            department: self.info.departments[*row].clone(),
            probability: probabilities[*row],
        };
        let mut ranked: Vec<OfTheDay> = order.iter().map(|row| OfTheDay { ranked: ranked(row), row: *row }).collect();
        let jurisdiction = self.catalog.as_deref().zip(appeal.circumstances.as_ref());
        let jurisdiction = jurisdiction.map(|(catalog, circumstances)| Jurisdiction::new(catalog, circumstances));
        if let Some(jurisdiction) = &jurisdiction {
            ranked = jurisdiction.of_the_day(ranked);
        }
        // After a merger the lead may be another than the model's first: then its own strongest row speaks for it.
        let row = ranked[0].row;
        let model = reason::model_ground(&self.info.version, &self.info.departments[row], probabilities[row]);
        let cosines = self.cosines(raw.embedding);
        let Weighed { dispute_risk, proposed_dispatch_risk, factors } =
            self.weighed(appeal, raw.dispute_logit, &probabilities, &cosines, &ranked);
        let mut decision = Decision {
            departments: ranked.into_iter().map(|one| one.ranked).collect(),
            model_opinion: Vec::new(),
            dispute_risk,
            proposed_dispatch_risk,
            risk_factors: factors,
            review_reasons: Vec::new(),
            evidence: evidence::weigh(&appeal.clauses, row, raw.logits, raw.without_clause),
            tokens_read: appeal.encoding.ids.len(),
            tokens_given: appeal.encoding.tokens_given,
            reading: appeal.encoding.reading,
            unit: None,
            supporting_departments: Vec::new(),
            basis: Vec::new(),
            reason: String::new(),
            catalog_version: None,
            embedding: raw.embedding.to_vec(),
        };
        let familiarity = cosines.iter().copied().max_by(f32::total_cmp);
        decision.review_reasons =
            review::reasons(&decision, appeal.encoding.text_tokens(), familiarity, &self.calibration.review);
        let rulings = Rulings {
            book,
            likeness: &self.calibration.precedents,
            departments: &self.info.departments,
            jurisdiction: jurisdiction.as_ref(),
        };
        let ruled = rulings.apply(&mut decision, appeal.circumstances.as_ref(), like);
        match &jurisdiction {
            Some(jurisdiction) => jurisdiction.complete(&mut decision, model, ruled),
            None => reason::without_catalogue(&mut decision, model, ruled),
        }
        Ok(decision)
    }

    /// Both risks and what raised them.
    fn weighed(
        &self,
        appeal: &PreparedAppeal,
        dispute_logit: Option<f32>,
        probabilities: &[f32],
        cosines: &[f32],
        ranked: &[OfTheDay],
    ) -> Weighed {
        // A successor speaks for the row that gave it most; whoever has none keeps the name that the model knows.
        let mut departments = self.info.departments.clone();
        for OfTheDay { ranked, row } in ranked.iter().rev() {
            departments[*row] = Arc::clone(&ranked.department);
        }
        let words = self.weigher.as_ref().and_then(|weigher| weigher.words(appeal.encoding.text_ids()));
        let text_tokens = appeal.encoding.text_tokens();
        let asked = Asked {
            witnesses: Witnesses { dispute_logit, probabilities, cosines, words, text_tokens },
            with_category: appeal.with_category,
            proposed: &appeal.proposed,
            departments: &departments,
        };
        match &self.weigher {
            Some(weigher) => weigher.weigh(&asked),
            None => dispute::by_scales(self.scales(appeal), &asked),
        }
    }

    fn scales(&self, appeal: &PreparedAppeal) -> &Scales {
        if appeal.with_category { &self.calibration.with_category } else { &self.calibration.text_only }
    }

    /// Cosine of an embedding to each department's centre; empty if the model has no centres.
    fn cosines(&self, embedding: &[f32]) -> Vec<f32> {
        let cosine = |centre: &Vec<f32>| centre.iter().zip(embedding).map(|(a, b)| a * b).sum::<f32>();
        self.centres.iter().map(cosine).collect()
    }
}

/// What the heads said of one appeal.
struct RawAnswer<'a> {
    logits: &'a [f32],
    /// For each clause the department logits when the last layer may not look at it.
    without_clause: &'a [&'a [f32]],
    dispute_logit: Option<f32>,
    embedding: &'a [f32],
}
