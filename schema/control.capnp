# The control plane: what a connection offers from its first call on. PROTOCOL.md says what each means.
@0xe316f91997d7c552;

using Session = import "session.capnp";

# The first capability of a connection.
interface Hello {
  hello @0 (greeting :Greeting) -> (error :Data, welcome :Welcome);
}

struct Greeting {
  # The versions of the protocol that the client speaks.
  versionMin @0 :UInt16;
  versionMax @1 :UInt16;
  # What it can do, and what the daemon must be able to do: bits of PROTOCOL.md.
  capabilities @2 :UInt64;
  required @3 :UInt64;
  # What it calls itself, for logs.
  name @4 :Text;
}

struct Welcome {
  version @0 :UInt16;
  capabilities @1 :UInt64;
  name @2 :Text;
  motd @3 :Text;
  daemon @4 :Daemon;
}

interface Daemon {
  modules @0 () -> (error :Data, modules :List(ModuleInfo));
  # The empty name is the default root.
  module @1 (name :Text) -> (error :Data, module :Module);
  diagnose @2 () -> (error :Data, lines :List(Text));
  ping @3 () -> ();
  # The sessions that this client has started, on any connection.
  jobs @4 () -> (error :Data, jobs :Jobs);
}

struct ModuleInfo {
  name @0 :Text;
  comment @1 :Text;
  readOnly @2 :Bool;
}

# Sessions, as those who started them see them.
interface Jobs {
  # Those that run, and those that have ended lately. `moved` is a number that changes when one of them moves.
  list @0 () -> (error :Data, jobs :List(Job), moved :UInt64);
  # The same of one of them, or with the number 0 of all, as soon as that number is another one than `moved`, the one of them has
  # ended, or some time has passed.
  watch @1 (id :UInt64, moved :UInt64) -> (error :Data, jobs :List(Job), moved :UInt64);
  # Ends one of them.
  cancel @2 (id :UInt64) -> (error :Data);
}

struct Job {
  id @0 :UInt64;
  module @1 :Text;
  order @2 :Order;
  verb @3 :Session.Verb;
  dryRun @4 :Bool;
  # Where it was started: the address and the short form of the key.
  address @5 :Text;
  key @6 :Text;
  # Milliseconds since 1970 by the daemon's clock, and how many it has taken so far.
  startedMs @7 :Int64;
  tookMs @8 :UInt64;
  # Entries and bytes that are settled, and that are known so far.
  entries @9 :UInt64;
  bytes @10 :UInt64;
  entriesKnown @11 :UInt64;
  bytesKnown @12 :UInt64;
  # It has ended; how many entries have failed, and why it ended early.
  ended @13 :Bool;
  failed @14 :UInt64;
  error @15 :Data;
}

enum Order {
  look @0;
  pull @1;
  push @2;
  remove @3;
}

interface Module {
  # A session whose source is the daemon's and whose other role only looks.
  look @0 (source :Session.SourcePath, spec :Session.Spec, peer :Session.Peer)
      -> (error :Data, session :Session.Session);
  # A session whose source is the daemon's.
  pull @1 (sources :List(Session.SourcePath), spec :Session.Spec, peer :Session.Peer)
      -> (error :Data, session :Session.Session, found :List(Session.Found));
  # A session whose destination is the daemon's.
  push @2 (target :Session.TargetPath, spec :Session.Spec, peer :Session.Peer)
      -> (error :Data, session :Session.Session, newName :Data, place :Session.Place);
  # A session without another role: entries are removed.
  remove @3 (paths :List(Data), spec :Session.Spec, peer :Session.Peer)
      -> (error :Data, session :Session.Session);
  space @4 (path :Data) -> (error :Data, space :Session.Space);
  # What stands at each path.
  stat @5 (paths :List(Data)) -> (error :Data, found :List(Standing));
}

# What stands at a path, or why that is not known.
struct Standing {
  error @0 :Data;
  metadata @1 :Data;
}
