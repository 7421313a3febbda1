// SPDX-License-Identifier: MIT
// expect-error: StorageLike: S needs 'try_pop'
#include <belay/queue/storage_like.hpp>

struct Storage {
    using value_type = int;
    bool try_push(int&&) noexcept;
#ifdef BELAY_CONTROL
    std::optional<int> try_pop();
#endif
    std::size_t size() const noexcept;
    std::size_t capacity() const noexcept;
};

static_assert(belay::explain::storage_like<Storage>());
