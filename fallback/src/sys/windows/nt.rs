//! Windows: the calls themselves, each given handles and checked arguments and giving back owned ones.
//! It must not know what they are for: which rights are asked for and what is tried next is decided by the callers.
#![expect(unsafe_code, reason = "std opens by whole paths only; the system opens below a handle")]

use std::io;
use std::mem::offset_of;
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr::{from_mut, from_ref, null, null_mut};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Foundation as codes;
use windows_sys::Win32::Storage::FileSystem as win;
use windows_sys::Win32::System::IO::{
    DeviceIoControl, IO_STATUS_BLOCK, IO_STATUS_BLOCK_0, OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0,
};
use windows_sys::Win32::System::Ioctl as ioctl;
use windows_sys::Win32::System::Threading::CreateMutexW;

/// How an object is opened. Links are never followed unless `through` is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Rights, without `SYNCHRONIZE`, which all have.
    pub(super) access: u32,
    /// It is made and must not exist.
    pub(super) create: bool,
    /// Options beyond that all calls wait until they are done.
    pub(super) options: u32,
    /// Attributes of what is made.
    pub(super) attributes: u32,
    /// What stands for something else is passed through instead of opened itself.
    pub(super) through: bool,
}

impl Request {
    /// Opens what exists, for `access`.
    pub(super) fn existing(access: u32) -> Self {
        Self { access, create: false, options: 0, attributes: 0, through: false }
    }

    /// Opens an existing directory, for `access`.
    pub(super) fn dir(access: u32) -> Self {
        Self { options: wdk::FILE_DIRECTORY_FILE, ..Self::existing(access) }
    }
}

/// Opens `name` in the directory `base`; the object itself when `name` is empty; an absolute path of the system's own
/// form without a base. Nobody is kept from doing anything with the object meanwhile.
pub(super) fn open(
    base: Option<BorrowedHandle<'_>>,
    name: &[u16],
    request: Request,
) -> io::Result<OwnedHandle> {
    let Ok(bytes) = u16::try_from(size_of_val(name)) else {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    };
    let text = codes::UNICODE_STRING {
        Length: bytes,
        MaximumLength: bytes,
        Buffer: name.as_ptr().cast_mut(),
    };
    let attributes = OBJECT_ATTRIBUTES {
        Length: length_of::<OBJECT_ATTRIBUTES>(),
        RootDirectory: base.map_or(null_mut(), |base| base.as_raw_handle()),
        ObjectName: &raw const text,
        Attributes: codes::OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    };
    let disposition = if request.create { wdk::FILE_CREATE } else { wdk::FILE_OPEN };
    let reparse = if request.through { 0 } else { wdk::FILE_OPEN_REPARSE_POINT };
    let mut handle = null_mut();
    let mut outcome = no_outcome();
    // SAFETY: all structures and the name they point to outlive the call, and the name is only read.
    let status = unsafe {
        wdk::NtCreateFile(
            &raw mut handle,
            request.access | win::SYNCHRONIZE,
            &raw const attributes,
            &raw mut outcome,
            null(),
            request.attributes,
            win::FILE_SHARE_READ | win::FILE_SHARE_WRITE | win::FILE_SHARE_DELETE,
            disposition,
            request.options | reparse | wdk::FILE_SYNCHRONOUS_IO_NONALERT,
            null(),
            0,
        )
    };
    match status {
        // What is on its way out cannot be opened any more.
        codes::STATUS_DELETE_PENDING if !request.create => Err(io::ErrorKind::NotFound.into()),
        _ => checked(status).map(|()| {
            // SAFETY: the call succeeded, so the handle is open, and nobody else owns it.
            unsafe { OwnedHandle::from_raw_handle(handle) }
        }),
    }
}

/// What the system tells about an open object with one call.
pub(super) trait Facts: Copy + Default {
    /// The number of the call.
    const CLASS: win::FILE_INFO_BY_HANDLE_CLASS;
}

impl Facts for win::FILE_BASIC_INFO {
    const CLASS: win::FILE_INFO_BY_HANDLE_CLASS = win::FileBasicInfo;
}

impl Facts for win::FILE_STANDARD_INFO {
    const CLASS: win::FILE_INFO_BY_HANDLE_CLASS = win::FileStandardInfo;
}

impl Facts for win::FILE_ID_INFO {
    const CLASS: win::FILE_INFO_BY_HANDLE_CLASS = win::FileIdInfo;
}

impl Facts for win::FILE_ATTRIBUTE_TAG_INFO {
    const CLASS: win::FILE_INFO_BY_HANDLE_CLASS = win::FileAttributeTagInfo;
}

/// Asks for the facts `T`.
pub(super) fn facts<T: Facts>(handle: BorrowedHandle<'_>) -> io::Result<T> {
    let mut facts = T::default();
    let (data, len) = (from_mut(&mut facts).cast(), length_of::<T>());
    // SAFETY: `facts` is the structure that this class fills, and `len` its size.
    let done =
        unsafe { win::GetFileInformationByHandleEx(handle.as_raw_handle(), T::CLASS, data, len) };
    succeeded(done).map(|()| facts)
}

/// The older form of what an object is, which every file system knows.
pub(super) fn old_facts(handle: BorrowedHandle<'_>) -> io::Result<win::BY_HANDLE_FILE_INFORMATION> {
    let mut facts = win::BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: `facts` is the structure that the call fills.
    let done = unsafe { win::GetFileInformationByHandle(handle.as_raw_handle(), &raw mut facts) };
    succeeded(done).map(|()| facts)
}

/// Sets times and attributes; those that are 0 stay.
pub(super) fn set_basic(
    handle: BorrowedHandle<'_>,
    basic: &win::FILE_BASIC_INFO,
) -> io::Result<()> {
    let (data, len) = (from_ref(basic).cast(), length_of::<win::FILE_BASIC_INFO>());
    // SAFETY: `basic` is the structure that this class reads, and `len` its size.
    let done = unsafe {
        win::SetFileInformationByHandle(handle.as_raw_handle(), win::FileBasicInfo, data, len)
    };
    succeeded(done)
}

/// `FILE_FS_FULL_SIZE_INFORMATION`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VolumeFacts {
    pub(super) total_units: i64,
    pub(super) available_units: i64,
    free_units: i64,
    pub(super) sectors_per_unit: u32,
    pub(super) bytes_per_sector: u32,
}

/// What the file system of an open object holds.
pub(super) fn volume(handle: BorrowedHandle<'_>) -> io::Result<VolumeFacts> {
    let mut facts = VolumeFacts::default();
    let (data, len) = (from_mut(&mut facts).cast(), length_of::<VolumeFacts>());
    let (class, mut outcome) = (wdk::FileFsFullSizeInformation, no_outcome());
    let handle = handle.as_raw_handle();
    // SAFETY: `facts` is the structure that this class fills, and `len` its size.
    let status =
        unsafe { wdk::NtQueryVolumeInformationFile(handle, &raw mut outcome, data, len, class) };
    checked(status).map(|()| facts)
}

/// What the file system of an open object is called.
pub(super) fn volume_type(handle: BorrowedHandle<'_>) -> io::Result<String> {
    let mut facts = VolumeType::default();
    let (data, len) = (from_mut(&mut facts).cast(), length_of::<VolumeType>());
    let (class, mut outcome) = (wdk::FileFsAttributeInformation, no_outcome());
    let handle = handle.as_raw_handle();
    // SAFETY: `facts` is a structure that this class fills, with room for a name at its end, and `len` its size.
    let status =
        unsafe { wdk::NtQueryVolumeInformationFile(handle, &raw mut outcome, data, len, class) };
    checked(status)?;
    let name_len = usize::try_from(facts.name_bytes / 2).unwrap_or(0).min(facts.name.len());
    Ok(String::from_utf16_lossy(&facts.name[..name_len]))
}

/// `FILE_FS_ATTRIBUTE_INFORMATION`, with room for the name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct VolumeType {
    attributes: u32,
    name_units_max: i32,
    name_bytes: u32,
    name: [u16; 32],
}

/// Room for names of a directory, aligned as the system wants it.
pub(super) type Records = Vec<u64>;

/// Reads the next names of an open directory into `records`, from the first one on where `restart` says so. False at
/// the end.
pub(super) fn read_dir(
    handle: BorrowedHandle<'_>,
    restart: bool,
    records: &mut Records,
) -> io::Result<bool> {
    let class =
        if restart { win::FileFullDirectoryRestartInfo } else { win::FileFullDirectoryInfo };
    let len = u32::try_from(size_of_val(records.as_slice())).unwrap_or(0);
    let data = records.as_mut_ptr().cast();
    // SAFETY: `data` and `len` describe `records`, which outlives the call.
    let done =
        unsafe { win::GetFileInformationByHandleEx(handle.as_raw_handle(), class, data, len) };
    match succeeded(done) {
        Ok(()) => Ok(true),
        Err(error) if is_code(&error, codes::ERROR_NO_MORE_FILES) => Ok(false),
        // The root of a volume has no `.`, so it may have nothing at all.
        Err(error) if restart && is_code(&error, codes::ERROR_FILE_NOT_FOUND) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The bytes of `records`.
pub(super) fn bytes_of(records: &Records) -> &[u8] {
    let len = size_of_val(records.as_slice());
    // SAFETY: the bytes of integers are initialised, and any alignment does for bytes.
    unsafe { std::slice::from_raw_parts(records.as_ptr().cast(), len) }
}

/// How an open object gets another name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming {
    /// The name changes, with these flags.
    Rename(u32),
    /// The name changes, by the call of older systems; over a file where it says so.
    OldRename(bool),
    /// The object gets one name more.
    Link,
}

/// Gives an open object the name `name` in `dir`.
pub(super) fn name(
    handle: BorrowedHandle<'_>,
    naming: Naming,
    dir: BorrowedHandle<'_>,
    name: &[u16],
) -> io::Result<()> {
    type Info = wdk::FILE_RENAME_INFORMATION;
    // A link is told by a structure of the same shape.
    const { assert!(offset_of!(Info, FileName) == offset_of!(wdk::FILE_LINK_INFORMATION, FileName)) };
    let (class, flags) = match naming {
        Naming::Rename(flags) => (wdk::FileRenameInformationEx, flags),
        Naming::OldRename(replace) => (wdk::FileRenameInformation, u32::from(replace)),
        Naming::Link => (wdk::FileLinkInformation, 0),
    };
    let name_len = size_of_val(name);
    let len = (offset_of!(Info, FileName) + name_len).max(size_of::<Info>());
    let mut buffer = vec![0_u64; len.div_ceil(size_of::<u64>())];
    let info = buffer.as_mut_ptr().cast::<Info>();
    let mut outcome = no_outcome();
    let (Ok(len), Ok(name_bytes)) = (u32::try_from(len), u32::try_from(name_len)) else {
        return Err(io::Error::from(io::ErrorKind::InvalidFilename));
    };
    // SAFETY: the buffer is aligned for the structure and has room for it with the whole name at its end; it and both
    // handles outlive the call.
    let status = unsafe {
        (&raw mut (*info).Anonymous.Flags).write(flags);
        (&raw mut (*info).RootDirectory).write(dir.as_raw_handle());
        (&raw mut (*info).FileNameLength).write(name_bytes);
        let place = (&raw mut (*info).FileName).cast::<u16>();
        std::ptr::copy_nonoverlapping(name.as_ptr(), place, name.len());
        wdk::NtSetInformationFile(handle.as_raw_handle(), &raw mut outcome, info.cast(), len, class)
    };
    checked(status)
}

/// Removes the name that `handle` was opened by, at once, whoever else has the object open and whether or not it is
/// read-only. Older systems and file systems do not know that.
pub(super) fn delete_at_once(handle: BorrowedHandle<'_>) -> io::Result<()> {
    let info = wdk::FILE_DISPOSITION_INFORMATION_EX {
        Flags: wdk::FILE_DISPOSITION_DELETE
            | wdk::FILE_DISPOSITION_POSIX_SEMANTICS
            | wdk::FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE,
    };
    let (data, len) = (from_ref(&info).cast(), size_of_val(&info));
    let len = u32::try_from(len).unwrap_or(0);
    let (class, mut outcome) = (wdk::FileDispositionInformationEx, no_outcome());
    // SAFETY: `info` is the structure that this class reads, and `len` its size.
    let status = unsafe {
        wdk::NtSetInformationFile(handle.as_raw_handle(), &raw mut outcome, data, len, class)
    };
    checked(status)
}

/// Has the name that `handle` was opened by go when all have closed the object.
pub(super) fn delete_on_close(handle: BorrowedHandle<'_>) -> io::Result<()> {
    let info = wdk::FILE_DISPOSITION_INFORMATION { DeleteFile: true };
    let (data, len) = (from_ref(&info).cast(), size_of_val(&info));
    let len = u32::try_from(len).unwrap_or(0);
    let (class, mut outcome) = (wdk::FileDispositionInformation, no_outcome());
    // SAFETY: `info` is the structure that this class reads, and `len` its size.
    let status = unsafe {
        wdk::NtSetInformationFile(handle.as_raw_handle(), &raw mut outcome, data, len, class)
    };
    checked(status)
}

/// Asks the file system with `code`, and returns how many bytes it answered.
fn control(
    handle: BorrowedHandle<'_>,
    code: u32,
    input: &[u8],
    output: &mut [u8],
) -> io::Result<usize> {
    let lengths = (u32::try_from(input.len()), u32::try_from(output.len()));
    let (Ok(input_len), Ok(output_len)) = lengths else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let mut answered = 0;
    // SAFETY: pointers and lengths describe the two buffers, which outlive the call; the handle waits, so there is no
    // overlapped structure.
    let done = unsafe {
        DeviceIoControl(
            handle.as_raw_handle(),
            code,
            input.as_ptr().cast(),
            input_len,
            output.as_mut_ptr().cast(),
            output_len,
            &raw mut answered,
            null_mut(),
        )
    };
    match succeeded(done) {
        // What there was room for has been answered.
        Err(error) if !is_code(&error, codes::ERROR_MORE_DATA) => Err(error),
        _ => Ok(usize::try_from(answered).unwrap_or(0).min(output.len())),
    }
}

/// What an object holds that stands for something else.
pub(super) fn reparse_point(handle: BorrowedHandle<'_>) -> io::Result<Vec<u8>> {
    let mut data = vec![0; REPARSE_BYTES_MAX];
    let len = control(handle, ioctl::FSCTL_GET_REPARSE_POINT, &[], &mut data)?;
    data.truncate(len);
    Ok(data)
}

/// Makes an empty file or directory stand for something else.
pub(super) fn set_reparse_point(handle: BorrowedHandle<'_>, data: &[u8]) -> io::Result<()> {
    control(handle, ioctl::FSCTL_SET_REPARSE_POINT, data, &mut []).map(drop)
}

/// The first range with data in `range`, given and returned as start and length.
pub(super) fn first_extent(
    handle: BorrowedHandle<'_>,
    range: (i64, i64),
) -> io::Result<Option<(i64, i64)>> {
    let mut input = [0; 16];
    input[..8].copy_from_slice(&range.0.to_ne_bytes());
    input[8..].copy_from_slice(&range.1.to_ne_bytes());
    let mut output = [0; 16];
    let len = control(handle, ioctl::FSCTL_QUERY_ALLOCATED_RANGES, &input, &mut output)?;
    let number =
        |at: usize| output[at..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes));
    Ok((len == output.len()).then(|| (number(0), number(8))))
}

/// Locks one byte that no file reaches, so that nobody is kept from reading or writing. False where another handle has
/// it locked.
pub(super) fn lock(handle: BorrowedHandle<'_>) -> io::Result<bool> {
    let flags = win::LOCKFILE_EXCLUSIVE_LOCK | win::LOCKFILE_FAIL_IMMEDIATELY;
    let place = OVERLAPPED_0_0 { Offset: 0, OffsetHigh: LOCK_OFFSET_HIGH };
    let mut place = OVERLAPPED {
        Internal: 0,
        InternalHigh: 0,
        Anonymous: OVERLAPPED_0 { Anonymous: place },
        hEvent: null_mut(),
    };
    // SAFETY: the handle waits, so the call is over with the structure when it returns.
    let done = unsafe { win::LockFileEx(handle.as_raw_handle(), flags, 0, 1, 0, &raw mut place) };
    match succeeded(done) {
        Ok(()) => Ok(true),
        Err(error)
            if is_code(&error, codes::ERROR_LOCK_VIOLATION)
                || is_code(&error, codes::ERROR_IO_PENDING) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Makes the system's object `name` be there until the handle is closed; `None` where it is there already.
pub(super) fn mark(name: &str) -> io::Result<Option<OwnedHandle>> {
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: the name ends with NUL and outlives the call.
    let handle = unsafe { CreateMutexW(null(), 0, name.as_ptr()) };
    let outcome = io::Error::last_os_error();
    if handle.is_null() {
        // Somebody else's, who does not let us have it.
        let taken = is_code(&outcome, codes::ERROR_ACCESS_DENIED);
        return if taken { Ok(None) } else { Err(outcome) };
    }
    // SAFETY: the call succeeded, so the handle is open, and nobody else owns it.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok((!is_code(&outcome, codes::ERROR_ALREADY_EXISTS)).then_some(handle))
}

/// Makes what was written durable.
pub(super) fn flush(handle: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: the handle is open for the duration of the call.
    succeeded(unsafe { win::FlushFileBuffers(handle.as_raw_handle()) })
}

/// The whole path of an open object, beginning with `\\?\`.
pub(super) fn path_of(handle: BorrowedHandle<'_>) -> io::Result<Vec<u16>> {
    let mut path = vec![0; 512];
    loop {
        let room = u32::try_from(path.len()).unwrap_or(u32::MAX);
        let (data, flags) = (path.as_mut_ptr(), win::FILE_NAME_OPENED | win::VOLUME_NAME_DOS);
        // SAFETY: `data` and `room` describe `path`, which outlives the call.
        let len =
            unsafe { win::GetFinalPathNameByHandleW(handle.as_raw_handle(), data, room, flags) };
        match usize::try_from(len).unwrap_or(0) {
            0 => return Err(io::Error::last_os_error()),
            len if len < path.len() => {
                path.truncate(len);
                return Ok(path);
            }
            // That much with a NUL; at least twice, so that a path that grows meanwhile is caught up with.
            len => path.resize(len.max(path.len() * 2), 0),
        }
    }
}

/// Makes a symbolic link by its whole path; both end with NUL.
pub(super) fn link_by_path(path: &[u16], target: &[u16], is_dir: bool) -> io::Result<()> {
    if path.last() != Some(&0) || target.last() != Some(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let kind = if is_dir { win::SYMBOLIC_LINK_FLAG_DIRECTORY } else { 0 };
    let flags = kind | win::SYMBOLIC_LINK_FLAG_ALLOW_UNPRIVILEGED_CREATE;
    // SAFETY: both texts end with NUL and outlive the call.
    let done = unsafe { win::CreateSymbolicLinkW(path.as_ptr(), target.as_ptr(), flags) };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether `error` is the system's `code`.
pub(super) fn is_code(error: &io::Error, code: u32) -> bool {
    error.raw_os_error().is_some_and(|raw| raw.cast_unsigned() == code)
}

/// The system's `code` as an error.
pub(super) fn error_of(code: u32) -> io::Error {
    io::Error::from_raw_os_error(code.cast_signed())
}

fn checked(status: codes::NTSTATUS) -> io::Result<()> {
    match status {
        0.. => Ok(()),
        // The codes of the older interface call these "access denied".
        codes::STATUS_FILE_IS_A_DIRECTORY => Err(io::ErrorKind::IsADirectory.into()),
        // SAFETY: a table look-up without preconditions.
        _ => Err(error_of(unsafe { codes::RtlNtStatusToDosError(status) })),
    }
}

fn succeeded(done: windows_sys::core::BOOL) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn no_outcome() -> IO_STATUS_BLOCK {
    IO_STATUS_BLOCK { Anonymous: IO_STATUS_BLOCK_0 { Status: 0 }, Information: 0 }
}

#[expect(clippy::cast_possible_truncation, reason = "structures of the system are small")]
const fn length_of<T>() -> u32 {
    size_of::<T>() as u32
}

/// MAXIMUM_REPARSE_DATA_BUFFER_SIZE.
const REPARSE_BYTES_MAX: usize = 16 * 1024;
/// The upper half of an offset beyond every file.
const LOCK_OFFSET_HIGH: u32 = 0x7fff_ffff;
