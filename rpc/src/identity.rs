//! Who a host or a user is: one Ed25519 key pair, made on first use and kept in a file.
//! It must not know which peers are trusted, nor call the system for modes and owners: [`Files`] does that.

mod certificate;
mod key;

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use blit_core::{Error, ErrorKind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub use key::{Fingerprint, PublicKey};

/// The calls to the system that keys need. `blit_engine::files` has functions of these names.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// Makes a new file for writing that its owner alone can read.
    pub create_private: fn(&Path) -> io::Result<File>,
    /// Makes a directory, and what is missing above it, that its owner alone can enter.
    pub create_private_dir: fn(&Path) -> io::Result<()>,
    /// Opens a regular file that nobody but its owner can read, or says why it is none.
    pub open_private: fn(&Path) -> io::Result<File>,
    /// Opens a regular file that nobody but its owner can change, or says why it is none.
    pub open_owned: fn(&Path) -> io::Result<File>,
}

/// A key pair. The secret half leaves this type only into the key's own file and into TLS.
pub struct Identity {
    pair: Ed25519KeyPair,
    seed: [u8; SEED_BYTES],
}

impl Identity {
    /// Reads the key at `path`, or makes it there. Of several that make it at once, one succeeds and all get its key.
    ///
    /// # Errors
    /// Those of reading and writing; `PermissionDenied` when others can read the key.
    pub fn load_or_create(path: &Path, files: Files) -> Result<Self, Error> {
        match Self::load(path, files) {
            Err(error) if error.kind == ErrorKind::NotFound => {}
            loaded => return loaded,
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if !parent.as_os_str().is_empty() {
            (files.create_private_dir)(parent).map_err(|e| Error::io("make", bytes(parent), e))?;
        }
        publish(path, &Self::generate()?.to_pem(), files)?;
        Self::load(path, files)
    }

    /// Reads the key at `path`.
    ///
    /// # Errors
    /// Those of reading; `PermissionDenied` when others can read the key, `Other` when there is none in the file.
    pub fn load(path: &Path, files: Files) -> Result<Self, Error> {
        let file = (files.open_private)(path).map_err(|e| Error::io("open key", bytes(path), e))?;
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|e| Error::io("read key", bytes(path), e))?;
        Self::from_pem(&text).ok_or_else(|| {
            let why = "it holds no Ed25519 key in PKCS #8 PEM; to get a new identity, move it away";
            Error::because(ErrorKind::Other, "read key", bytes(path), why)
        })
    }

    /// A new key that is kept nowhere.
    ///
    /// # Errors
    /// `Internal` when the system has no random numbers.
    pub fn generate() -> Result<Self, Error> {
        let mut seed = [0; SEED_BYTES];
        let no_random = || {
            Error::because(ErrorKind::Internal, "make key", b"", "the system has no random numbers")
        };
        rand::fill(&mut seed).map_err(|_| no_random())?;
        Self::from_seed(seed).ok_or_else(no_random)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.pair.public_key().as_ref();
        PublicKey(bytes.try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// The certificate that presents this key in TLS: signed by itself, without an end.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        certificate::self_signed(&self.public_key(), |message| {
            let signature = self.pair.sign(message);
            signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
        })
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.to_pkcs8().to_vec()))
    }

    fn from_seed(seed: [u8; SEED_BYTES]) -> Option<Self> {
        Some(Self { pair: Ed25519KeyPair::from_seed_unchecked(&seed).ok()?, seed })
    }

    fn from_pem(text: &[u8]) -> Option<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text).ok()?;
        let seed = key.secret_pkcs8_der().strip_prefix(&PKCS8_PREFIX)?;
        Self::from_seed(seed.try_into().ok()?)
    }

    fn to_pkcs8(&self) -> [u8; PKCS8_BYTES] {
        let mut der = [0; PKCS8_BYTES];
        der[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
        der[PKCS8_PREFIX.len()..].copy_from_slice(&self.seed);
        der
    }

    /// The 48 bytes of the key are 64 letters of base64 without a rest, so that one line and no padding is enough.
    fn to_pem(&self) -> String {
        let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
        for three in self.to_pkcs8().as_chunks::<3>().0 {
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for shift in [18, 12, 6, 0] {
                text.push(char::from(BASE64[(bits >> shift & 63) as usize]));
            }
        }
        text.push_str("\n-----END PRIVATE KEY-----\n");
        text
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.public_key()).finish()
    }
}

/// Puts a complete file under `path` unless one is there. A hard link fails where the name is taken, which a rename does
/// not; where a file system has no hard links, the file is renamed if nobody was faster.
fn publish(path: &Path, text: &str, files: Files) -> Result<(), Error> {
    let staged = beside(path)?;
    let result = stage(&staged, text, files).and_then(|()| match fs::hard_link(&staged, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(_) if path.exists() => Ok(()),
        Err(_) => fs::rename(&staged, path),
    });
    // After a rename it is gone already, which is as good.
    fs::remove_file(&staged).unwrap_or_default();
    result.map_err(|e| Error::io("write key", bytes(path), e))
}

fn stage(staged: &Path, text: &str, files: Files) -> io::Result<()> {
    let mut file = (files.create_private)(staged)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name beside `path` that nobody else uses or can foresee.
pub(crate) fn beside(path: &Path) -> Result<PathBuf, Error> {
    let mut random = [0; 12];
    rand::fill(&mut random).map_err(|_| {
        let why = "the system has no random numbers";
        Error::because(ErrorKind::Internal, "write", bytes(path), why)
    })?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(path.with_file_name(format!(".blit-{digits}.tmp")))
}

pub(crate) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// Where a user's key and known hosts are kept: `$BLIT_CONFIG_DIR`, else `blit` in `$XDG_CONFIG_HOME`, in `%APPDATA%`
/// or in `~/.config`. Only the first may be relative. Nothing when `variable` knows none of them.
pub fn config_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let absolute = |name| path(name).filter(|path| path.is_absolute());
    path("BLIT_CONFIG_DIR")
        .or_else(|| Some(absolute("XDG_CONFIG_HOME")?.join("blit")))
        .or_else(|| Some(absolute("APPDATA")?.join("blit")))
        .or_else(|| Some(absolute("HOME")?.join(".config").join("blit")))
}

/// The name of the key's file in [`config_dir`].
pub const KEY_FILE: &str = "identity.pem";

const SEED_BYTES: usize = 32;

/// What comes before the seed in PKCS #8: version 0, the algorithm 1.3.101.112, an octet string in an octet string.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PKCS8_BYTES: usize = PKCS8_PREFIX.len() + SEED_BYTES;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Far more than a key needs, so that a wrong path reads little.
const FILE_BYTES_MAX: u64 = 16 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Barrier;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    /// Without modes and owners, which are tested where they are asked for.
    pub(crate) const PLAIN: Files = Files {
        create_private: |path| File::create_new(path),
        create_private_dir: |path| fs::create_dir_all(path),
        open_private: |path| File::open(path),
        open_owned: |path| File::open(path),
    };

    #[test]
    fn a_key_is_made_once_and_read_back_ever_after() {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let path = dir.path().join("new/dir/key");
        let made = Identity::load_or_create(&path, PLAIN).expect("made");
        let read = Identity::load_or_create(&path, PLAIN).expect("read");
        assert_eq!(made.public_key(), read.public_key());
        let names = fs::read_dir(dir.path().join("new/dir")).expect("there").count();
        assert_eq!(names, 1, "nothing is left beside the key");
    }

    #[test]
    fn two_identities_differ() {
        let key = || Identity::generate().expect("random").public_key();
        assert_ne!(key(), key());
    }

    #[test]
    fn all_that_make_the_first_key_at_once_agree_on_one() {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let path = dir.path().join("key");
        let start = Barrier::new(8);
        let keys: Vec<PublicKey> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        Identity::load_or_create(&path, PLAIN).expect("made or read").public_key()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let path = dir.path().join("key");
        Identity::load_or_create(&path, PLAIN).expect("made");
        let open: fn(&Path) -> io::Result<File> =
            |_| Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may access it"));
        let error = Identity::load_or_create(&path, Files { open_private: open, ..PLAIN })
            .expect_err("too open");
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(
            text.starts_with("open key ") && text.ends_with(": others may access it"),
            "{text}"
        );
    }

    #[test]
    fn a_file_without_a_key_is_kept_and_refused() {
        let dir = tempfile::tempdir().expect("a directory of its own");
        let path = dir.path().join("key");
        fs::write(&path, "no key at all").expect("written");
        let error = Identity::load_or_create(&path, PLAIN).expect_err("no key");
        assert!(error.to_string().contains("no Ed25519 key"), "{error}");
        assert_eq!(fs::read(&path).expect("still there"), b"no key at all");
    }

    #[test]
    fn the_test_vector_of_rfc_8410_is_read() {
        let text = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
            -----END PRIVATE KEY-----\n";
        let identity = Identity::from_pem(text.as_bytes()).expect("a valid key");
        let expected = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let hex: String =
            identity.public_key().0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        assert_eq!(identity.to_pem(), text);
    }

    #[test]
    fn the_secret_is_not_shown() {
        let identity = Identity::generate().expect("random");
        assert_eq!(format!("{identity:?}"), format!("Identity({:?})", identity.public_key()));
    }

    #[test]
    fn the_place_is_the_first_variable_that_says_one() {
        let dir = tempfile::tempdir().expect("an absolute path");
        let root = dir.path().as_os_str();
        let with = |names: &'static [&str]| {
            let found = config_dir(|name| names.contains(&name).then(|| root.to_owned()));
            found.map(|path| path.strip_prefix(root).expect("below").to_owned())
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["HOME"]), Some(Path::new(".config").join("blit")));
        assert_eq!(with(&["HOME", "APPDATA"]), Some("blit".into()));
        assert_eq!(with(&["HOME", "XDG_CONFIG_HOME"]), Some("blit".into()));
        assert_eq!(with(&["HOME", "XDG_CONFIG_HOME", "BLIT_CONFIG_DIR"]), Some("".into()));
        assert_eq!(config_dir(|name| (name == "XDG_CONFIG_HOME").then(|| "here".into())), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_reading_a_key_panic(text in any::<Vec<u8>>(), cut in 0usize..130) {
            drop(Identity::from_pem(&text));
            let mut pem = Identity::from_seed([7; 32]).expect("any seed").to_pem().into_bytes();
            pem.truncate(cut);
            pem.extend(&text);
            drop(Identity::from_pem(&pem));
        }
    }
}
