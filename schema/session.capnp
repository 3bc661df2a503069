# One session: what its two ends tell each other. PROTOCOL.md says who may say what when.
#
# Errors, metadata and entries are `Data` in the compact form of PROTOCOL.md; an empty error means that there is none.
@0xff889c4d0b596c57;

# What the daemon offers of a session.
interface Session {
  # The session starts. Of a pull whose only source is not a directory: the name that it gets at the destination.
  begin @0 (newName :Data) -> (error :Data);
  # What the first bytes of the data connection of this slot are to be.
  token @1 (slot :UInt16) -> (error :Data, token :Data);
  # The bytes of data connections that are not to be had are carried by this connection.
  carry @2 (carrier :Carrier) -> (error :Data, carrier :Carrier);
  frames @3 (batch :List(Frame)) -> stream;
  # A data connection is gone at this end.
  lost @4 (slot :UInt16) -> ();
  ping @5 (moved :UInt64) -> (moved :UInt64);
}

# What the client offers of it.
interface Peer {
  frames @0 (batch :List(Frame)) -> stream;
  notices @1 (batch :List(Change)) -> stream;
  lost @2 (slot :UInt16) -> ();
  ping @3 (moved :UInt64) -> (moved :UInt64);
  # The daemon's role has ended. Nothing follows.
  ended @4 (outcome :Outcome) -> ();
}

# Takes the bytes of a data stream.
interface Carrier {
  bytes @0 (bytes :Data) -> stream;
}

struct Outcome {
  error @0 :Data;
  summary @1 :Summary;
  # Which rules and listed paths of the filter have matched something, by their number.
  matched @2 :List(UInt32);
}

struct SourcePath {
  path @0 :Data;
  contents @1 :Bool;
}

struct TargetPath {
  path @0 :Data;
  # It is meant as a directory.
  contents @1 :Bool;
  # The only source is not a directory.
  oneFile @2 :Bool;
  # Where what is replaced or removed is kept, and where an earlier copy is.
  backup @3 :Beside;
  reference @4 :Beside;
}

# A directory of the module beside the destination.
struct Beside {
  isGiven @0 :Bool;
  path @1 :Data;
}

# What stands at a source.
struct Found {
  exists @0 :Bool;
  isDir @1 :Bool;
  id @2 :FileId;
  # The directories above a directory; only told to a client on the same machine.
  above @3 :List(FileId);
}

# Which inode something is; only told to a client on the same machine.
struct FileId {
  dev @0 :UInt64;
  ino @1 :UInt64;
}

# Where the destination is, for a client on the same machine: the directory and all above it.
struct Place {
  ids @0 :List(FileId);
  absent @1 :Bool;
}

struct Spec {
  verb @0 :Verb;
  mode @1 :Bool;
  owner @2 :Bool;
  times @3 :Bool;
  xattrs @4 :Bool;
  acls @5 :Bool;
  hardLinks @6 :Bool;
  specials @7 :Bool;
  reflink @8 :Reflink;
  fsync @9 :Bool;
  dryRun @10 :Bool;
  itemise @11 :Bool;
  equality @12 :Equality;
  update @13 :Bool;
  existing @14 :Bool;
  ignoreExisting @15 :Bool;
  deleteExcluded @16 :Bool;
  deleteFromEmptySource @17 :Bool;
  deleteMax @18 :UInt64 = 0xffffffffffffffff;
  delta @19 :Bool;
  recursive @20 :Bool;
  oneFileSystem @21 :Bool;
  filter @22 :List(FilterPart);
  # Owners are mapped by number, not by name.
  numericIds @23 :Bool;
  # Data connections may be without TLS.
  plaintextData @24 :Bool;
  # Whether bodies on data streams are compressed; never, unless both ends have the capability.
  packing @25 :Packing;
  # Files are overwritten where they stand.
  inPlace @26 :Bool;
  # What the client writes before a path in the module, for people: `host:/module/`.
  shown @27 :Data;
}

enum Packing {
  never @0;
  wherePays @1;
  always @2;
}

enum Verb {
  copy @0;
  mirror @1;
  move @2;
}

enum Reflink {
  auto @0;
  always @1;
  never @2;
}

enum Equality {
  times @0;
  size @1;
  checksum @2;
  never @3;
}

struct FilterPart {
  union {
    exclude @0 :Text;
    include @1 :Text;
    lines @2 :FilterLines;
    pathsByLine @3 :Data;
    pathsByNul @4 :Data;
    minSize @5 :UInt64;
    maxSize @6 :UInt64;
    newerThan @7 :Time;
    olderThan @8 :Time;
  }
}

struct FilterLines {
  name @0 :Text;
  text @1 :Text;
}

struct Time {
  secs @0 :Int64;
  nanos @1 :UInt32;
}

struct Frame {
  union {
    listing @0 :Listing;
    unreadable @1 :Data;
    scanned @2 :Void;
    settled @3 :Settled;
    closed @4 :Closed;
    need @5 :Need;
    sent @6 :Sent;
    digest @7 :Want;
    digests @8 :Digests;
    finished @9 :Summary;
    failed @10 :Data;
  }
}

struct Listing {
  dir @0 :UInt64;
  number @1 :UInt64;
  firstChild @2 :UInt64;
  # Empty where it is not told.
  meta @3 :Data;
  entries @4 :Data;
  sourceName @5 :Data;
  last @6 :Bool;
  named @7 :Bool;
  complete @8 :Bool;
  # The names of users and groups whose numbers occur for the first time on this way of the session.
  users @9 :List(Owner);
  groups @10 :List(Owner);
}

struct Owner {
  id @0 :UInt32;
  name @1 :Text;
}

struct Settled {
  number @0 :UInt64;
  entries @1 :UInt32;
  kept @2 :List(UInt32);
}

struct Closed {
  dir @0 :UInt64;
  stands @1 :Bool;
}

struct Want {
  ticket @0 :UInt64;
  number @1 :UInt64;
  picks @2 :List(UInt32);
}

struct Need {
  want @0 :Want;
  # All of each file, or one range of the only one.
  isRange @1 :Bool;
  offset @2 :UInt64;
  len @3 :UInt64;
  # The digests of the blocks of the range that the destination has, 16 bytes each.
  hasKnown @4 :Bool;
  known @5 :Data;
}

struct Sent {
  ticket @0 :UInt64;
  # On no stream, or on the one of this slot.
  onStream @1 :Bool;
  slot @2 :UInt16;
}

struct Digests {
  ticket @0 :UInt64;
  # One after the other: a byte 0 and 16 bytes, or a byte 1 and an error.
  digests @1 :Data;
  count @2 :UInt32;
}

struct Summary {
  entries @0 :UInt64;
  files @1 :UInt64;
  bytes @2 :UInt64;
  bytesCloned @3 :UInt64;
  dirs @4 :UInt64;
  nodes @5 :UInt64;
  links @6 :UInt64;
  repaired @7 :UInt64;
  same @8 :UInt64;
  skipped @9 :UInt64;
  standing @10 :UInt64;
  renamed @11 :UInt64;
  removed @12 :UInt64;
  leftovers @13 :UInt64;
  failed @14 :UInt64;
  vanished @15 :UInt64;
  failures @16 :List(Data);
  lostXattrs @17 :UInt64;
  lostAcls @18 :UInt64;
  lostOwner @19 :UInt64;
  lostMode @20 :UInt64;
}

struct Change {
  action @0 :Action;
  path @1 :Data;
  # Which metadata were set, where only they differed: bits of PROTOCOL.md.
  metadata @2 :UInt32;
}

enum Action {
  copied @0;
  replaced @1;
  madeDir @2;
  madeNode @3;
  linked @4;
  repaired @5;
  renamed @6;
  removed @7;
  removedLeftover @8;
}

struct Space {
  available @0 :UInt64;
  total @1 :UInt64;
  granularityNs @2 :UInt64;
  holdsXattrs @3 :Bool;
}
