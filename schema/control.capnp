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
}

struct ModuleInfo {
  name @0 :Text;
  comment @1 :Text;
  readOnly @2 :Bool;
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
}
