"""A file system that shows a directory and behaves as it is told.

obstinate.py DIRECTORY MOUNTPOINT [SWITCH=VALUE...]
  fold=1            names are compared without case, as on the systems of other makers
  tick=SECONDS      modification times are whole multiples of this
  fail_read=OFFSET  reading beyond this offset of a file with `bad` in its name is an input/output error
  hang=NAME         listing a directory of this name never answers
  mute=NAME         a look at an entry of this name never answers
  delay=SECONDS     each look at an entry takes so long
"""
import errno
import os
import sys
import threading
import time

import fusepy as fuse


UTIME_NOW, UTIME_OMIT = 2**30 - 1, 2**30 - 2


class Obstinate(fuse.Operations):
    use_ns = True
    # Without this, setting only one of the two times does nothing.
    flag_utime_omit_ok = 1

    def __init__(self, root, switches):
        self.root = root
        self.fold = "fold" in switches
        self.tick = int(switches.get("tick", 0)) * 10**9
        self.fail_read = int(switches.get("fail_read", -1))
        self.hang = switches.get("hang")
        self.mute = switches.get("mute")
        self.delay = float(switches.get("delay", 0))

    def real(self, path):
        at = self.root
        for name in path.split("/"):
            if name and self.fold and not os.path.lexists(os.path.join(at, name)):
                names = os.listdir(at) if os.path.isdir(at) else []
                name = next((n for n in names if n.casefold() == name.casefold()), name)
            at = os.path.join(at, name) if name else at
        return at

    def getattr(self, path, fh=None):
        if self.mute and os.path.basename(path) == self.mute:
            threading.Event().wait()
        time.sleep(self.delay)
        found = os.lstat(self.real(path))
        facts = {key: getattr(found, key) for key in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_blocks")}
        facts.update(st_atime=found.st_atime_ns, st_mtime=self.rounded(found.st_mtime_ns), st_ctime=found.st_ctime_ns)
        return facts

    def rounded(self, nanoseconds):
        return nanoseconds - nanoseconds % self.tick if self.tick else nanoseconds

    def readdir(self, path, fh):
        if self.hang and os.path.basename(path) == self.hang:
            threading.Event().wait()
        return [".", ".."] + os.listdir(self.real(path))

    def read(self, path, size, offset, fh):
        if 0 <= self.fail_read < offset + size and "bad" in path:
            raise fuse.FuseOSError(errno.EIO)
        return os.pread(fh, size, offset)

    def open(self, path, flags):
        return os.open(self.real(path), flags & ~os.O_NOFOLLOW)

    def create(self, path, mode, fi=None):
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def utimens(self, path, times=None):
        found = os.lstat(self.real(path))
        kept = (found.st_atime_ns, found.st_mtime_ns)
        now = (time.time_ns(),) * 2
        # What is to be left alone, or to be now, comes as nanoseconds that no clock has.
        chosen = [{UTIME_OMIT: old, UTIME_NOW: new}.get(time_ns, time_ns)
                  for time_ns, old, new in zip(times or now, kept, now)]
        os.utime(self.real(path), ns=(chosen[0], self.rounded(chosen[1])), follow_symlinks=False)

    def rename(self, old, new):
        source, target = self.real(old), self.real(new)
        if source == target:
            # One entry that gets another spelling.
            target = os.path.join(os.path.dirname(target), os.path.basename(new))
        os.rename(source, target)

    def statfs(self, path):
        found = os.statvfs(self.root)
        keys = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_frsize", "f_namemax")
        return {key: getattr(found, key) for key in keys}

    def symlink(self, path, target):
        os.symlink(target, self.real(path))

    def link(self, path, old):
        os.link(self.real(old), self.real(path))

    def readlink(self, path):
        return os.readlink(self.real(path))

    def mkdir(self, path, mode):
        os.mkdir(self.real(path), mode)

    def rmdir(self, path):
        os.rmdir(self.real(path))

    def unlink(self, path):
        os.unlink(self.real(path))

    def chmod(self, path, mode):
        os.chmod(self.real(path), mode)

    def chown(self, path, uid, gid):
        os.lchown(self.real(path), uid, gid)

    def truncate(self, path, length, fh=None):
        os.truncate(self.real(path), length)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def release(self, path, fh):
        os.close(fh)


def main():
    root, point = sys.argv[1:3]
    switches = dict(word.split("=", 1) for word in sys.argv[3:])
    options = dict(foreground=True, use_ino=True, hard_remove=True)
    if not switches.get("delay"):
        # What the kernel remembers would hide what is shown otherwise.
        options.update(entry_timeout=0, attr_timeout=0, negative_timeout=0)
    fuse.FUSE(Obstinate(root, switches), point, encoding="utf-8", **options)


main()
