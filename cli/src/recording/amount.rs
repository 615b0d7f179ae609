//! The numbers of a log: costs, estimates and durations.

use super::quoted;
use crate::log::{Reason, Request, time};
use crate::value;
use std::time::Duration;

/// The sum of a fixed number and of fields.
#[derive(Debug)]
pub struct CostColumn {
    /// The fixed number.
    pub fixed: u64,
    /// The indices of the fields.
    pub fields: Vec<usize>,
    /// Its entry in the first policy that uses it: "cost" or "estimate".
    pub entry: &'static str,
}

impl CostColumn {
    /// The sum. An absent value counts as 0.
    pub fn sum(&self, request: &Request<'_>) -> Result<u64, Reason> {
        let entry = self.entry;
        self.fields.iter().try_fold(self.fixed, |sum, field| {
            let value = value::trim(request.values.get(*field));
            let cost =
                if value::is_absent_number(value) { Some(0) } else { value::whole_number(value) };
            let cost = cost.ok_or_else(|| {
                let (field, value) = quoted(request, *field);
                Reason::Cost { entry, field, value }
            })?;
            sum.checked_add(cost).ok_or(Reason::CostSum { entry })
        })
    }
}

/// The field with the duration of a request, and its unit.
#[derive(Clone, Copy, Debug)]
pub struct DurationColumn {
    /// The index of the field.
    pub field: usize,
    /// The length of time of one unit.
    pub unit: Duration,
}

impl DurationColumn {
    /// The duration of the request; 0 if it is absent, and `u64::MAX` if it does not fit.
    pub fn duration_ns(self, request: &Request<'_>) -> Result<u64, Reason> {
        let value = value::trim(request.values.get(self.field));
        if value::is_absent_number(value) {
            return Ok(0);
        }
        time::length_ns(value, self.unit).ok_or_else(|| {
            let (field, value) = quoted(request, self.field);
            Reason::Duration { field, value }
        })
    }
}

/// A field that holds numbers, and how often its value is absent.
#[derive(Debug)]
pub struct NumberField {
    /// The index of the field.
    pub field: usize,
    /// The number of requests without a value.
    pub absent: u64,
}

impl NumberField {
    /// Counts an absent value.
    pub fn count(&mut self, request: &Request<'_>) {
        let value = value::trim(request.values.get(self.field));
        self.absent += u64::from(value::is_absent_number(value));
    }
}
