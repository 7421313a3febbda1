// SPDX-License-Identifier: MIT
// expect-error: Encoded: DeadLetters must be KeepDead or have
#include <belay/queue/encoded.hpp>
#include <belay/queue/ring.hpp>

struct Codec {
    bool encode(const int&, belay::Bytes& into);
    std::optional<int> decode(belay::BytesView bytes);
};

struct Letters {
#ifdef BELAY_CONTROL
    bool try_push(belay::Bytes&&);
#else
    void try_push(belay::Bytes&&);
#endif
};

template class belay::Encoded<belay::Ring<belay::Bytes, 4>, Codec, Letters>;
