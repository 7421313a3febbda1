// SPDX-License-Identifier: MIT
// Goal: a WorkQueue uses nothing that LogLike does not promise, moves, and is small. Method:
// instantiation with the archetype.
#include <belay/work/work_queue.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalSequenced;

namespace {

struct ObservesDeadLetters {
    void on_dead(const DeadWork&) {}
};
struct ObservesDrops {
    void on_dropped(const DeadWork&) {}
};
/// A storage for dead letters that returns bool, and cannot flush.
struct Letters {
    bool try_push(Bytes&&) noexcept { return true; }
};

struct FlushableSequenced : MinimalSequenced {
    std::error_code flush() noexcept { return {}; }
    bool unflushed() const noexcept { return false; }
};

struct KeepingSequenced : MinimalSequenced {
    std::error_code keep(BytesView) noexcept { return {}; }
    BytesView kept() const noexcept { return {}; }
};

using Plain = WorkQueue<MinimalSequenced>;
using Keeping = WorkQueue<KeepingSequenced>;

template <class W>
concept Keeps = requires(W& work, const W& known, BytesView note) {
    { work.keep(note) } noexcept -> std::same_as<std::error_code>;
    { known.kept() } noexcept -> std::same_as<BytesView>;
};
template <class W>
concept KeepsSomehow =
    requires(W& work) { work.keep(BytesView{}); } || requires(W& work) { work.kept(); };

}  // namespace

template class belay::WorkQueue<MinimalSequenced>;
template class belay::WorkQueue<MinimalSequenced, Letters, ObservesDeadLetters>;
template class belay::WorkQueue<MinimalSequenced, KeepDead, ObservesDrops>;

static_assert(std::is_nothrow_move_constructible_v<Plain>);
static_assert(std::is_nothrow_move_assignable_v<Plain>);
static_assert(!std::is_copy_constructible_v<Plain>);
static_assert(sizeof(Plain) <= 2 * sizeof(void*), "what nobody wants costs nothing");
static_assert(noexcept(std::declval<Plain&>().commit()));
static_assert(!FlushableLike<Plain>, "its log is none");
static_assert(FlushableLike<WorkQueue<FlushableSequenced>>);
static_assert(Keeps<Keeping>);
static_assert(!KeepsSomehow<Plain>, "its log keeps none");
static_assert(sizeof(belay::detail::KeyFingerprint) == 24);
static_assert(std::is_trivially_copyable_v<Lease>);

static_assert(WorkOptions{}.check().empty());
static_assert(!WorkOptions{.lease = Duration::zero()}.check().empty());
static_assert(!WorkOptions{.keys = std::size_t{1} << 31}.check().empty());
