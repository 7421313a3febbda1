// SPDX-License-Identifier: MIT
/// \file belay/queue/block.hpp
/// Block: a push into a full queue waits for room, up to a deadline.
#pragma once

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/queue/overflow_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How long a push waits, and how often it looks.
struct BlockOptions {
    /// The longest wait; `forever` for no end.
    Duration timeout = std::chrono::seconds{1};
    /// The time between two looks.
    Duration interval = std::chrono::milliseconds{1};
};

/// Waits, through a sleeper, until there is room.
///
/// Somebody must make it meanwhile: another thread, where the storage allows several, or what the
/// sleeper itself runs while it sleeps.
///
/// Models: OverflowLike.   Thread safety: that of the sleeper.
template <SleeperLike Sleeper>
class Block {
public:
    static constexpr bool drops = false;

    /// The sleeper must outlive the queue.   Pre: timeout >= 0ns, interval > 0ns.
    explicit Block(Sleeper& sleeper, BlockOptions options = {}) noexcept
        : sleeper_{&sleeper}, options_{options} {
        BELAY_PRECONDITION(options.timeout.count() >= 0 && options.interval.count() > 0,
                           "Block::Block: the timeout must be >= 0ns, the interval > 0ns");
    }

    /// Errors: wait_ended, at the deadline.   Blocks: until there is room, or the deadline.
    template <class Room>
    [[nodiscard]] std::error_code make_room(Room& room) {
        const Instant deadline = after(sleeper_->now(), options_.timeout);
        while (room.full()) {
            const Instant now = sleeper_->now();
            if (now >= deadline) return make_error_code(QueueErrc::wait_ended);
            sleeper_->sleep_until(detail::smaller(deadline, after(now, options_.interval)),
                                  Unstopped{});
        }
        return {};
    }

private:
    struct Unstopped {
        [[nodiscard]] bool stop_requested() const noexcept { return false; }
    };

    Sleeper* sleeper_;
    BlockOptions options_;
};

}}  // namespace belay
