// SPDX-License-Identifier: MIT
// Goal: OverflowLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalOverflow;

static_assert(explain::overflow_like<MinimalOverflow>());
// A queue uses only what the concepts promise.
template class belay::Queue<belay_test::MinimalStorage, MinimalOverflow>;
template class belay::Queue<belay_test::MinimalLeasable, MinimalOverflow>;

namespace {

struct NoDrops {
    std::error_code make_space(auto&);
};
struct NoMakeRoom {
    static constexpr bool drops = false;
};
struct MakeRoomOfBool {
    static constexpr bool drops = false;
    bool make_space(auto&);
};

static_assert(!OverflowLike<NoDrops>);
static_assert(!OverflowLike<NoMakeRoom>);
static_assert(!OverflowLike<MakeRoomOfBool>);

}  // namespace

static_assert(OverflowLike<Reject>);
