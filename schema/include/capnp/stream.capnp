# What a call that returns a stream answers with: the one file of the compiler's own that the schema needs.
@0x86c366a91393f3f8;

struct StreamResult @0x995f9a3377c0b16e {
}
