//! Allocations that tell when there is no memory, where those of the standard library end the
//! process.

/// There is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// As `Box::new`.
pub(crate) fn boxed<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    let mut one = vector(1)?;
    one.push(value);
    let one = Box::into_raw(one.into_boxed_slice());
    // SAFETY: a slice of one has the layout of the one.
    Ok(unsafe { Box::from_raw(one.cast()) })
}

/// As `Vec::with_capacity`, and no more than that, so that a full one becomes a boxed slice in
/// place.
pub(crate) fn vector<T>(capacity: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(capacity).map_err(|_| OutOfMemory)?;
    Ok(vector)
}
