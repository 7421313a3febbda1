// SPDX-License-Identifier: MIT
// Goal: LeasableLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/queue/storage_like.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalLeasable;
using belay_test::MoveOnly;

static_assert(explain::leasable_like<MinimalLeasable>());

namespace {

struct NoFront : MinimalLeasable {
    MoveOnly* front() = delete;
};
struct FrontThatIsNoPointer : MinimalLeasable {
    int front();
};
struct AckThatThrows : MinimalLeasable {
    void ack();
};
struct AckOfInt : MinimalLeasable {
    int ack() noexcept;
};
struct NoNack : MinimalLeasable {
    void nack() = delete;
};

static_assert(!LeasableLike<belay_test::MinimalStorage>);
static_assert(!LeasableLike<NoFront>);
static_assert(!LeasableLike<FrontThatIsNoPointer>);
static_assert(!LeasableLike<AckThatThrows>);
static_assert(!LeasableLike<AckOfInt>);
static_assert(!LeasableLike<NoNack>);

}  // namespace
