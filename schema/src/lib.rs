//! The Cap'n Proto schema of blit's control plane and the code generated from it. It holds none yet: this build copies
//! between local paths, and nothing in it speaks to a peer.
