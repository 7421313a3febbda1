// SPDX-License-Identifier: MIT
/// \file belay/queue/block.hpp
/// Block: a push into a full queue waits for capacity, up to a deadline.
#pragma once

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/queue/overflow_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How long a push waits, and how often it checks for capacity.
struct BlockOptions {
    /// The longest wait; `forever` means without end.
    Duration timeout = std::chrono::seconds{1};
    /// The time between two checks.
    Duration interval = std::chrono::milliseconds{1};
};

/// Waits, through a sleeper, until the queue has capacity.
///
/// Other code must make capacity meanwhile: another thread, if the storage allows several, or code
/// that the sleeper runs while it sleeps.
///
/// Models: OverflowLike.   Thread safety: that of the sleeper.
template <SleeperLike Sleeper>
class Block {
public:
    static constexpr bool drops = false;

    /// Makes a policy that waits through `sleeper`, which must outlive the queue.
    /// Pre: timeout >= 0ns, 0ns < interval < forever.
    explicit Block(Sleeper& sleeper, BlockOptions options = {}) noexcept
        : sleeper_{&sleeper}, options_{options} {
        BELAY_OPTION(options.timeout.count() >= 0 && options.interval.count() > 0,
                     "Block::Block: the timeout must be >= 0ns, and the interval > 0ns");
        BELAY_OPTION(options.interval != forever, "Block::Block: the interval must not be forever");
    }

    /// Waits for capacity.
    ///
    /// Errors: wait_ended, at the deadline.   Blocks: until there is capacity, or the deadline.
    template <class Space>
    [[nodiscard]] std::error_code make_space(Space& space) {
        const Instant deadline = after(sleeper_->now(), options_.timeout);
        while (space.full()) {
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
