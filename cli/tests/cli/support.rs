//! What the tests stand on: a sandbox, trees as literals, and a comparison of trees that knows nothing of blit.

pub(crate) mod compare;
pub(crate) mod daemon;
pub(crate) mod device;
pub(crate) mod foreign;
pub(crate) mod mount;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod terminal;
pub(crate) mod tree;
pub(crate) mod way;

/// Makes each function a test on every engine. It gets the sandbox by reference.
macro_rules! on_every_engine {
    ($(fn $name:ident($sandbox:ident) $body:block)*) => {
        $(
            fn $name($sandbox: &$crate::support::sandbox::Sandbox) $body

            mod $name {
                #[test]
                fn threads() {
                    $crate::support::sandbox::Sandbox::with_engine("threads", super::$name);
                }

                #[test]
                fn uring() {
                    $crate::support::sandbox::Sandbox::with_engine("uring", super::$name);
                }
            }
        )*
    };
}
pub(crate) use on_every_engine;

/// Makes each function a test on every engine in every way: on one machine, to a daemon and from one. It gets the sandbox
/// by reference and names paths of it.
macro_rules! in_every_way {
    ($(fn $name:ident($sandbox:ident) $body:block)*) => {
        $(
            fn $name($sandbox: &$crate::support::sandbox::Sandbox) $body

            mod $name {
                use $crate::support::sandbox::Sandbox;
                use $crate::support::way::Way;

                #[test]
                fn threads() {
                    Sandbox::with_engine("threads", super::$name);
                }

                #[test]
                fn uring() {
                    Sandbox::with_engine("uring", super::$name);
                }

                #[test]
                fn push_threads() {
                    Sandbox::in_way(Way::Push, "threads", super::$name);
                }

                #[test]
                fn push_uring() {
                    Sandbox::in_way(Way::Push, "uring", super::$name);
                }

                #[test]
                fn pull_threads() {
                    Sandbox::in_way(Way::Pull, "threads", super::$name);
                }

                #[test]
                fn pull_uring() {
                    Sandbox::in_way(Way::Pull, "uring", super::$name);
                }
            }
        )*
    };
}
pub(crate) use in_every_way;
