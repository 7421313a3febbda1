// SPDX-License-Identifier: MIT
// expect-error: FlushableLike: L needs 'unflushed.. const noexcept -> bool'
#include <belay/queue/flushable_like.hpp>

struct Log {
    std::error_code flush() noexcept;
#ifdef BELAY_CONTROL
    bool unflushed() const noexcept;
#else
    bool unflushed() const;
#endif
};

static_assert(belay::explain::flushable_like<Log>());
