//! Thread-local values of the threads of a schedule: each thread of each execution has its own.
//!
//! As in the standard library, a value that needs no destructor can be accessed until its thread has
//! ended, also by destructors. Any other value is dropped when the thread ends.

use shuttle::current::{TaskId, me};
use shuttle::thread::AccessError;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::rc::Rc;

/// Declares thread-local values, as the macro of the standard library does.
macro_rules! local_keys {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const { $init:expr };)*) => {$(
        $(#[$attribute])*
        static $name: $crate::sync::local::LocalKey<$type> =
            $crate::sync::local::LocalKey::new(|| $init);
    )*};
}
pub(crate) use local_keys as thread_local;

/// The values that need no destructor, by thread and key.
#[derive(Default)]
struct Values(RefCell<HashMap<(TaskId, usize), Rc<dyn Any>>>);

// SAFETY: all threads of an execution run on one OS thread.
unsafe impl Sync for Values {}

shuttle::lazy_static! {
    static ref VALUES: Values = Values::default();
}

/// The key of a thread-local value.
#[derive(Debug)]
pub(crate) struct LocalKey<T: 'static> {
    /// Holds the value only if it needs a destructor.
    key: shuttle::thread::LocalKey<T>,
}

impl<T: 'static> LocalKey<T> {
    pub(crate) const fn new(init: fn() -> T) -> Self {
        LocalKey { key: shuttle::thread::LocalKey { init, _p: PhantomData } }
    }

    /// Accesses the value of the calling thread. Fails if it was dropped.
    pub(crate) fn try_with<R>(
        &'static self,
        access: impl FnOnce(&T) -> R,
    ) -> Result<R, AccessError> {
        if needs_drop::<T>() {
            return self.key.try_with(access);
        }
        let id = (me(), std::ptr::from_ref(self).addr());
        let mut values = VALUES.0.borrow_mut();
        let value = values.entry(id).or_insert_with(|| Rc::new((self.key.init)())).clone();
        drop(values);
        Ok(access(value.downcast_ref().expect("a key has one type")))
    }

    pub(crate) fn with<R>(&'static self, access: impl FnOnce(&T) -> R) -> R {
        self.try_with(access).expect("accessed after it was dropped")
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    pub(crate) fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }
}
