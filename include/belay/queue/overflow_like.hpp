// SPDX-License-Identifier: MIT
/// \file belay/queue/overflow_like.hpp
/// OverflowLike: decides what a Queue does when it is full. Reject is the default.
#pragma once

#include <concepts>      // std::same_as, std::move_constructible
#include <system_error>  // std::error_code

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
    static_assert(
        detail::HasMakeSpace<O>,
        "OverflowLike: O needs 'make_space(auto& space) -> std::error_code'; see docs/queue.md");
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

}}  // namespace belay
