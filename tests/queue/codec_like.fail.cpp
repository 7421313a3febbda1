// SPDX-License-Identifier: MIT
// expect-error: CodecLike: C needs 'encode.const T&, Bytes& into. -> bool'
#include <belay/queue/codec_like.hpp>

struct Codec {
#ifdef BELAY_CONTROL
    bool encode(const int&, belay::Bytes& into);
#else
    void encode(const int&, belay::Bytes& into);
#endif
    std::optional<int> decode(belay::BytesView bytes);
};

static_assert(belay::explain::codec_like<Codec>());
