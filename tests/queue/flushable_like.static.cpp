// SPDX-License-Identifier: MIT
// Goal: FlushableLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/queue/storage_like.hpp>

#include <belay/queue/flush_every.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalFlushable;

static_assert(explain::flushable_like<MinimalFlushable>());
// FlushEvery uses only what the concept promises, and models the concepts that it documents.
template class belay::FlushEvery<MinimalFlushable>;
static_assert(MachineLike<FlushEvery<MinimalFlushable>>);

namespace {

struct NoFlush : MinimalFlushable {
    std::error_code flush() noexcept = delete;
};
struct FlushThatThrows : MinimalFlushable {
    std::error_code flush();
};
struct FlushWithoutAnswer : MinimalFlushable {
    void flush() noexcept;
};
struct NoUnflushed : MinimalFlushable {
    bool unflushed() const noexcept = delete;
};
struct UnflushedThatChanges : MinimalFlushable {
    bool unflushed() noexcept;
};
struct UnflushedThatThrows : MinimalFlushable {
    bool unflushed() const;
};
struct UnflushedThatCounts : MinimalFlushable {
    int unflushed() const noexcept;
};

static_assert(!FlushableLike<NoFlush>);
static_assert(!FlushableLike<FlushThatThrows>);
static_assert(!FlushableLike<FlushWithoutAnswer>);
static_assert(!FlushableLike<NoUnflushed>);
static_assert(!FlushableLike<UnflushedThatChanges>);
static_assert(!FlushableLike<UnflushedThatThrows>);
static_assert(!FlushableLike<UnflushedThatCounts>);

}  // namespace
