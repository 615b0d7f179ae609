//! Fallible allocations. Those of the standard library abort the process.

/// A failed allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// Returns a box with `value`, like `Box::new`.
pub(crate) fn boxed<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    let mut one = vector(1)?;
    one.push(value);
    let one = Box::into_raw(one.into_boxed_slice());
    // SAFETY: a slice of length one has the same layout as its element.
    Ok(unsafe { Box::from_raw(one.cast()) })
}

/// Returns an empty vector of exactly this capacity, like `Vec::with_capacity`. When full, it
/// becomes a boxed slice without reallocation.
pub(crate) fn vector<T>(capacity: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(capacity).map_err(|_| OutOfMemory)?;
    Ok(vector)
}
