// SPDX-License-Identifier: MIT
/// \file belay/queue/overflows.hpp
/// OverflowLike and its policies, which decide what a Queue does when it is full: Reject is the
/// default. DropNewest and DropOldest drop a value, and Block waits for capacity.
#pragma once

#include <concepts>      // std::move_constructible, std::same_as
#include <system_error>  // std::error_code

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// The object that a Queue passes to an overflow policy.
struct SpaceArchetype {
    bool full() const noexcept;
    std::error_code drop_oldest();
    void drop_newest();
};

template <class O>
concept HasDrops = requires {
    { O::drops } -> std::same_as<const bool&>;
};
template <class O>
concept HasMakeSpace = requires(O& overflow, SpaceArchetype& space) {
    { overflow.make_space(space) } -> std::same_as<std::error_code>;
};

}  // namespace detail

/// Decides what happens to a push that does not fit.
///
/// - `static constexpr bool drops`: whether a value may be dropped although its push returned no
///   error.
/// - `make_space(space) -> std::error_code`: called when the queue is full. No error means that
/// there is capacity now, or that the pushed value was dropped.
///
/// The policy may call these functions of `space`:
/// - `full()` returns whether the queue is full.
/// - `drop_oldest()` drops the first value. It returns queue_full while the queue is drained, or if
///   the storage gives nothing.
/// - `drop_newest()` drops the pushed value; the push then returns no error.
///
/// The queue's observer receives each dropped value.
template <class O>
concept OverflowLike = std::move_constructible<O> && detail::HasDrops<O> && detail::HasMakeSpace<O>;

namespace explain {

/// Names every requirement of OverflowLike that O lacks.
template <class O>
consteval bool overflow_like() {
    static_assert(std::move_constructible<O>, "OverflowLike: O must be move constructible");
    static_assert(detail::HasDrops<O>, "OverflowLike: O needs 'static constexpr bool drops'");
    static_assert(detail::HasMakeSpace<O>,
                  "OverflowLike: O needs 'make_space(auto& space) -> std::error_code'; see "
                  "docs/reference/queues.md");
    return OverflowLike<O>;
}

}  // namespace explain

/// Rejects a push that does not fit, with QueueErrc::queue_full.
///
/// Models: OverflowLike.   Thread safety: any thread (no state).
struct Reject {
    static constexpr bool drops = false;
    template <class Space>
    [[nodiscard]] std::error_code make_space(Space&) noexcept {
        return make_error_code(QueueErrc::queue_full);
    }
};

/// Accepts the push and drops its value, for callers that do not need to know, such as a sampler.
///
/// It differs from Reject in who receives the information. The push returns no error, and the
/// queue's observer receives the value, `on_dropped(value)`.
///
/// Models: OverflowLike.   Thread safety: any thread (no state).
/// Source: kotlinx.coroutines, BufferOverflow.DROP_LATEST, which has the same contract.
struct DropNewest {
    static constexpr bool drops = true;

    /// Errors: none.
    template <class Space>
    [[nodiscard]] std::error_code make_space(Space& space) {
        space.drop_newest();
        return {};
    }
};

/// Makes capacity by dropping the oldest values, for queues in which only the newest matter.
///
/// The queue's observer receives each dropped value: `on_dropped(value)`. While the queue is
/// drained, its oldest value is being executed and is not dropped, so the push is rejected.
///
/// The oldest value is dropped before the storage is asked to take the new one. So it is lost even
/// if the storage rejects the push for another reason, for example too_large or the limit of a
/// Priority's lane. Over a Priority, the "oldest" is the value that would be taken next.
///
/// Models: OverflowLike.   Thread safety: any thread (no state).
struct DropOldest {
    static constexpr bool drops = true;

    /// Drops values until the queue has capacity.
    ///
    /// Errors: queue_full while the queue is drained, or if the storage gives nothing.
    template <class Space>
    [[nodiscard]] std::error_code make_space(Space& space) {
        while (space.full()) {
            if (const std::error_code error = space.drop_oldest()) return error;
        }
        return {};
    }
};

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
