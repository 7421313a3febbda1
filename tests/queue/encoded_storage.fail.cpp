// SPDX-License-Identifier: MIT
// expect-error: Encoded: the storage must take belay::BytesView or keep belay::Bytes
#include <belay/queue/encoded.hpp>
#include <belay/queue/ring.hpp>

struct Codec {
    bool encode(const int&, belay::Bytes& into);
    std::optional<int> decode(belay::BytesView bytes);
};

#ifdef BELAY_CONTROL
using Storage = belay::Ring<belay::Bytes, 4>;
#else
using Storage = belay::Ring<int, 4>;
#endif

belay::Encoded encoded{Storage{}, Codec{}};
