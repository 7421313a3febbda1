// SPDX-License-Identifier: MIT
// Goal: StorageLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/queue/storage_like.hpp>

#include <belay/queue/priority.hpp>

#include "support/queue/queue_archetypes.hpp"

using namespace belay;
using belay_test::MinimalStorage;
using belay_test::MoveOnly;

static_assert(explain::storage_like<MinimalStorage>());

namespace {

struct NoValueType {
    bool try_push(int&&) noexcept;
    std::optional<int> try_pop();
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
};
struct StorageOfViews {
    using value_type = Bytes;
    std::error_code try_push(BytesView) noexcept { return {}; }
    std::optional<Bytes> try_pop();
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
};
struct StorageOfViewsThatThrows : StorageOfViews {
    std::error_code try_push(BytesView) { return {}; }
};
struct FirstLane {
    std::size_t operator()(const Bytes&) const noexcept { return 0; }
};
struct NoTryPop : MinimalStorage {
    std::optional<MoveOnly> try_pop() = delete;
};
struct NoTryPush : MinimalStorage {
    bool try_push(MoveOnly&&) = delete;
};
struct TryPushThatThrows : MinimalStorage {
    bool try_push(MoveOnly&&);
};
struct TryPushOfInt : MinimalStorage {
    int try_push(MoveOnly&&) noexcept;
};
struct TryPopOfPointer : MinimalStorage {
    MoveOnly* try_pop();
};
struct SizeThatThrows : MinimalStorage {
    std::size_t size() const;
};
struct Immovable : MinimalStorage {
    Immovable(Immovable&&) = delete;
};

// With libc++, the conversion of Bytes to a view is not noexcept.
static_assert(StorageLike<StorageOfViews>);
static_assert(StorageLike<Priority<StorageOfViews, 2, FirstLane>>);
static_assert(!StorageLike<int>);
static_assert(!StorageLike<NoValueType>);
static_assert(!StorageLike<NoTryPop>);
static_assert(!StorageLike<NoTryPush>);
static_assert(!StorageLike<TryPushThatThrows>);
static_assert(!StorageLike<StorageOfViewsThatThrows>);
static_assert(!StorageLike<TryPushOfInt>);
static_assert(!StorageLike<TryPopOfPointer>);
static_assert(!StorageLike<SizeThatThrows>);
static_assert(!StorageLike<Immovable>);

}  // namespace
