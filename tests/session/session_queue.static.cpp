// SPDX-License-Identifier: MIT
// Goal: a Session accepts a queue over a journal that rejects or blocks, and no other.
#include <belay/session/session.hpp>

#include <belay/journal/journal.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/disk.hpp>

#include "support/session/session_archetypes.hpp"

using namespace belay;
using belay_test::MinimalSessionQueue;

namespace {

using DiskJournal = Journal<sim::Disk>;

struct NoStorage {
    [[maybe_unused]] static constexpr bool drops = false;
    std::error_code push(BytesView);
};
struct Drops : MinimalSessionQueue {
    [[maybe_unused]] static constexpr bool drops = true;
};
struct DropsSometimes : MinimalSessionQueue {
    [[maybe_unused]] static inline bool drops = false;
};
struct PushesText : MinimalSessionQueue {
    std::error_code push(const char*);
};
struct PushWithoutAnswer : MinimalSessionQueue {
    void push(BytesView);
};

static_assert(explain::session_queue<MinimalSessionQueue>());
static_assert(detail::SessionQueueLike<Queue<DiskJournal>>);
static_assert(detail::SessionQueueLike<Queue<DiskJournal, Reject>>);
static_assert(!detail::SessionQueueLike<Queue<DiskJournal, DropOldest>>);
static_assert(!detail::SessionQueueLike<Queue<Deque<Bytes>>>);
static_assert(!detail::SessionQueueLike<DiskJournal>);  // without a limit, and therefore rejected
static_assert(!detail::SessionQueueLike<NoStorage>);
static_assert(!detail::SessionQueueLike<Drops>);
static_assert(!detail::SessionQueueLike<DropsSometimes>);
static_assert(!detail::SessionQueueLike<PushesText>);
static_assert(!detail::SessionQueueLike<PushWithoutAnswer>);

}  // namespace
