//! Asks the kernel, step by step, whether executors could run.
//! It must not create one: what is refused must be found out before any exists.
#![expect(unsafe_code, reason = "submitting an entry and registering memory are unsafe calls")]

use std::fmt;
use std::io;

use io_uring::{IoUring, Probe, opcode};
use libc::iovec;
use nix::sys::resource::{Resource, getrlimit};

use super::executor::IO_MEMORY_BYTES;
use crate::start::Refusal;

/// Goes through everything an executor needs and names the first step that fails.
pub(super) fn probe() -> Result<(), Refusal> {
    let mut ring = IoUring::new(RING_ENTRIES).map_err(|error| refused("ring set-up", error))?;
    probe_opcodes(&ring)?;
    probe_round_trip(&mut ring)?;
    probe_address_space()?;
    probe_locked_memory()?;
    probe_registration(&ring)
}

fn probe_opcodes(ring: &IoUring) -> Result<(), Refusal> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| refused("opcode probe", error))?;
    let missing: Vec<&str> = OPCODES
        .iter()
        .filter(|(_, code)| !probe.is_supported(*code))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("the kernel has no {}; Linux 5.6 is needed", missing.join(", "));
    Err(refused("opcode probe", why))
}

/// A seccomp filter may allow a ring and refuse its use.
fn probe_round_trip(ring: &mut IoUring) -> Result<(), Refusal> {
    let nop = opcode::Nop::new().build().user_data(NOP_MARK);
    // SAFETY: a NOP refers to no memory and no descriptor.
    unsafe { ring.submission().push(&nop) }.map_err(|error| refused("first operation", error))?;
    ring.submit_and_wait(1).map_err(|error| refused("first operation", error))?;
    let result = ring.completion().find(|entry| entry.user_data() == NOP_MARK);
    match result.map(|entry| entry.result()) {
        Some(0) => Ok(()),
        Some(code) => Err(refused("first operation", io::Error::from_raw_os_error(-code))),
        None => Err(refused("first operation", "it did not complete")),
    }
}

/// glommio refuses below this whatever the privileges.
fn probe_locked_memory() -> Result<(), Refusal> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK)
        .map_err(|error| refused("locked memory", io::Error::from(error)))?;
    if soft >= LOCKED_BYTES_MIN {
        return Ok(());
    }
    let why = format!(
        "RLIMIT_MEMLOCK is {} KiB and must be {} KiB or more (`ulimit -l`)",
        soft >> 10,
        LOCKED_BYTES_MIN >> 10
    );
    Err(refused("locked memory", why))
}

/// An executor that gets no thread or no memory while it works ends the run; so it must not come to that.
fn probe_address_space() -> Result<(), Refusal> {
    let (soft, _) = getrlimit(Resource::RLIMIT_AS)
        .map_err(|error| refused("address space", io::Error::from(error)))?;
    if soft >= ADDRESS_BYTES_MIN {
        return Ok(());
    }
    let why = format!(
        "RLIMIT_AS is {} MiB and must be {} MiB or more (`ulimit -v`)",
        soft >> 20,
        ADDRESS_BYTES_MIN >> 20
    );
    Err(refused("address space", why))
}

fn probe_registration(ring: &IoUring) -> Result<(), Refusal> {
    let mut memory = vec![0_u8; IO_MEMORY_BYTES];
    let buffers = [iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: memory.len() }];
    // SAFETY: `memory` outlives the registration, which is undone before this function ends, or by the kernel with the
    // ring, for which no operation on the buffer is ever queued.
    unsafe { ring.submitter().register_buffers(&buffers) }
        .map_err(|error| refused("buffer registration", error))?;
    ring.submitter().unregister_buffers().map_err(|error| refused("buffer registration", error))
}

fn refused(step: &'static str, why: impl fmt::Display) -> Refusal {
    Refusal { step, why: why.to_string() }
}

/// Entries of the ring that is probed with: one is enough.
const RING_ENTRIES: u32 = 1;

/// Tells the NOP's completion.
const NOP_MARK: u64 = 0x626c_6974;

/// Least `RLIMIT_MEMLOCK` in bytes that glommio accepts.
const LOCKED_BYTES_MIN: u64 = 512 << 10;

/// Least `RLIMIT_AS` in bytes: executors and their helpers take a stack and an arena of the allocator each, which reserve some
/// 70 MiB without using them.
const ADDRESS_BYTES_MIN: u64 = 1 << 30;

/// Every operation that glommio queues; it gives up where one is missing.
const OPCODES: &[(&str, u8)] = &[
    ("NOP", opcode::Nop::CODE),
    ("READV", opcode::Readv::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("READ_FIXED", opcode::ReadFixed::CODE),
    ("WRITE_FIXED", opcode::WriteFixed::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("POLL_REMOVE", opcode::PollRemove::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("TIMEOUT_REMOVE", opcode::TimeoutRemove::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("LINK_TIMEOUT", opcode::LinkTimeout::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("FALLOCATE", opcode::Fallocate::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("STATX", opcode::Statx::CODE),
    ("READ", opcode::Read::CODE),
    ("WRITE", opcode::Write::CODE),
    ("SEND", opcode::Send::CODE),
    ("RECV", opcode::Recv::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
];
