// SPDX-License-Identifier: MIT
// Goal: CodecLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/queue/codec_like.hpp>
#include <belay/queue/encoded.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalBytesStorage;
using belay_test::MinimalCodec;
using belay_test::MoveOnly;

static_assert(explain::codec_like<MinimalCodec>());
// Encoded uses only what the concepts promise, and models the concepts that it documents.
template class belay::Encoded<MinimalBytesStorage, MinimalCodec>;
static_assert(LeasableLike<Encoded<MinimalBytesStorage, MinimalCodec>>);
static_assert(!FlushableLike<Encoded<MinimalBytesStorage, MinimalCodec>>);

namespace {

struct NoDecode : MinimalCodec {
    void decode(BytesView) = delete;
};
struct DecodeToPointer : MinimalCodec {
    MoveOnly* decode(BytesView);
};
struct Pinned {
    Pinned(const Pinned&) = delete;
};
struct DecodesPinned {
    bool encode(const Pinned&, Bytes&);
    std::optional<Pinned> decode(BytesView);
};
struct NoEncode : MinimalCodec {
    bool encode(const MoveOnly&, Bytes&) = delete;
};
struct EncodesAnother : MinimalCodec {
    struct Other {};
    bool encode(const Other&, Bytes&);
};
struct EncodeChangesTheValue : MinimalCodec {
    bool encode(MoveOnly&, Bytes&);
};
struct EncodeWithoutAnswer : MinimalCodec {
    void encode(const MoveOnly&, Bytes&);
};
struct CodecThatCannotMove : MinimalCodec {
    CodecThatCannotMove(CodecThatCannotMove&&) = delete;
};

static_assert(!CodecLike<NoDecode>);
static_assert(!CodecLike<DecodeToPointer>);
static_assert(!CodecLike<DecodesPinned>);
static_assert(!CodecLike<NoEncode>);
static_assert(!CodecLike<EncodesAnother>);
static_assert(!CodecLike<EncodeChangesTheValue>);
static_assert(!CodecLike<EncodeWithoutAnswer>);
static_assert(!CodecLike<CodecThatCannotMove>);

}  // namespace
