//! The columns of a recording: what the policies need of the fields of the log.

use super::amount::{CostColumn, DurationColumn, NumberField};
use super::field_error::{FieldError, FieldProblem};
use super::key::{KeyColumn, KeyUser, Undecided, ValueKind};
use std::path::Path;
use tollgate_policy_file::{Absent, CostSpec, FieldKey, KeySpec, PolicyFile, PolicySpec, Position};

/// The key, the cost and the estimate of a policy: columns of the recording, or fixed numbers.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The columns of the key.
    pub key: KeyBinding,
    pub(super) cost: Cost,
    pub(super) estimate: Option<Cost>,
}

/// The columns of a policy's key.
#[derive(Clone, Copy, Debug)]
pub enum KeyBinding {
    /// One key for all requests.
    Shared,
    /// The first of these columns in which the request has a key.
    Column { first: usize, other: Option<usize> },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Cost {
    Fixed(u64),
    Column(usize),
}

impl Binding {
    /// Returns whether requests reserve an estimate under this policy.
    pub fn is_estimated(&self) -> bool {
        self.estimate.is_some()
    }
}

/// The columns that the policies need. Created when the fields of the log are known.
#[derive(Debug)]
pub(super) struct Columns {
    pub names: Vec<String>,
    pub keys: Vec<KeyColumn>,
    pub costs: Vec<CostColumn>,
    pub duration: Option<DurationColumn>,
    /// The fields of all costs, estimates and durations.
    pub numbers: Vec<NumberField>,
    pub bindings: Vec<Binding>,
}

/// Finds the fields of a policy file in a log.
struct Fields<'f> {
    path: &'f Path,
    names: &'f [String],
}

impl Fields<'_> {
    fn find(
        &self,
        spec: Option<&PolicySpec>,
        position: Position,
        entry: &'static str,
        field: &str,
    ) -> Result<usize, FieldError> {
        let mut matches = (0..self.names.len()).filter(|index| self.names[*index] == field);
        let problem = match (matches.next(), matches.next()) {
            (Some(index), None) => return Ok(index),
            (Some(_), Some(_)) => FieldProblem::TwoFields { entry, field: field.to_owned() },
            (None, _) => FieldProblem::NoField {
                entry,
                field: field.to_owned(),
                fields: self.names.to_vec(),
            },
        };
        Err(FieldError::new(self.path, position, spec, problem))
    }
}

impl Columns {
    pub fn bind(path: &Path, file: &PolicyFile, names: &[String]) -> Result<Self, FieldError> {
        let fields = Fields { path, names };
        let mut columns = Columns {
            names: names.to_vec(),
            keys: Vec::new(),
            costs: Vec::new(),
            duration: None,
            numbers: Vec::new(),
            bindings: Vec::new(),
        };
        for (policy, spec) in file.specs.iter().enumerate() {
            let replay = &spec.replay;
            let key = match &replay.key {
                None => {
                    let problem = FieldProblem::NoKey;
                    return Err(FieldError::new(path, replay.key_position, Some(spec), problem));
                }
                Some(KeySpec::Shared) => KeyBinding::Shared,
                Some(KeySpec::Field(key)) => columns.bind_key(&fields, policy, spec, key)?,
            };
            let mut bind = |cost: &CostSpec, position, entry| {
                let found =
                    cost.fields.iter().map(|field| fields.find(Some(spec), position, entry, field));
                let fields = found.collect::<Result<_, _>>()?;
                Ok(columns.cost(CostColumn { fixed: cost.fixed, fields, entry }))
            };
            let cost = bind(&replay.cost, replay.cost_position, "cost")?;
            let estimate = replay.estimate.as_ref();
            let estimate = estimate.map(|cost| bind(cost, replay.estimate_position, "estimate"));
            columns.bindings.push(Binding { key, cost, estimate: estimate.transpose()? });
        }
        if let Some(duration) = &file.duration {
            let field = fields.find(None, duration.position, "duration", &duration.field)?;
            columns.duration = Some(DurationColumn { field, unit: duration.unit });
            columns.number(field);
        }
        Ok(columns)
    }

    fn bind_key(
        &mut self,
        fields: &Fields<'_>,
        policy: usize,
        spec: &PolicySpec,
        key: &FieldKey,
    ) -> Result<KeyBinding, FieldError> {
        let mut bind = |position, entry, field: &str, absent: &Absent| {
            let index = fields.find(Some(spec), position, entry, field)?;
            let kind = ValueKind::new(key.address, field);
            Ok(self.key(KeyColumn::new(index, kind, absent, KeyUser { policy, entry, position })))
        };
        let first = bind(spec.replay.key_position, "key", &key.name, &key.absent)?;
        let other = match &key.absent {
            Absent::Skip | Absent::Share => None,
            Absent::Field(field) => {
                Some(bind(spec.replay.absent_position, "absent", field, &Absent::Skip)?)
            }
        };
        Ok(KeyBinding::Column { first, other })
    }

    /// The error of a value for which the policy file must say whether it is an address.
    pub fn undecided(
        &self,
        path: &Path,
        file: &PolicyFile,
        log_line: u64,
        undecided: Undecided,
    ) -> FieldError {
        let Undecided { field, value, user: KeyUser { policy, entry, position } } = undecided;
        let field = self.names.get(field).cloned().unwrap_or_default();
        let problem = FieldProblem::Address { entry, field, value, log_line };
        FieldError::new(path, position, file.specs.get(policy), problem)
    }

    fn key(&mut self, column: KeyColumn) -> usize {
        let existing = self.keys.iter().position(|other| other.is_same(&column));
        existing.unwrap_or_else(|| {
            self.keys.push(column);
            self.keys.len() - 1
        })
    }

    fn cost(&mut self, column: CostColumn) -> Cost {
        if column.fields.is_empty() {
            return Cost::Fixed(column.fixed);
        }
        column.fields.iter().for_each(|field| self.number(*field));
        let same =
            |other: &CostColumn| (other.fixed, &other.fields) == (column.fixed, &column.fields);
        let existing = self.costs.iter().position(same);
        Cost::Column(existing.unwrap_or_else(|| {
            self.costs.push(column);
            self.costs.len() - 1
        }))
    }

    fn number(&mut self, field: usize) {
        if !self.numbers.iter().any(|number| number.field == field) {
            self.numbers.push(NumberField { field, absent: 0 });
        }
    }
}
