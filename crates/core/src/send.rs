//! `Send` where there are threads, nothing where there are none.
//!
//! The only file that knows the difference: in a browser futures hold JavaScript objects and cannot be `Send`.

use std::{future::Future, pin::Pin};

#[cfg(not(target_family = "wasm"))]
mod bounds {
    /// What engines and worlds must be: shareable between threads, where there are threads.
    pub trait Shared: Send + Sync {}
    impl<T: Send + Sync + ?Sized> Shared for T {}

    /// A boxed future, `Send` where there are threads.
    pub type BoxFuture<'a, T> = super::Pin<Box<dyn super::Future<Output = T> + Send + 'a>>;
}

#[cfg(target_family = "wasm")]
mod bounds {
    /// What engines and worlds must be: shareable between threads, where there are threads.
    pub trait Shared {}
    impl<T: ?Sized> Shared for T {}

    /// A boxed future, `Send` where there are threads.
    pub type BoxFuture<'a, T> = super::Pin<Box<dyn super::Future<Output = T> + 'a>>;
}

pub use bounds::{BoxFuture, Shared};
