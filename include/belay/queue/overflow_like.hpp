// SPDX-License-Identifier: MIT
/// \file belay/queue/overflow_like.hpp
/// OverflowLike: what a Queue does when it is full. And Reject, the default.
#pragma once

#include <concepts>      // std::same_as, std::move_constructible
#include <system_error>  // std::error_code

#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// What a Queue offers an overflow policy.
struct RoomArchetype {
    bool full() const noexcept;
    std::error_code drop_oldest();
    void drop_newest();
};

template <class O>
concept SaysWhetherItDrops = requires {
    { O::drops } -> std::same_as<const bool&>;
};
template <class O>
concept HasMakeRoom = requires(O& overflow, RoomArchetype& room) {
    { overflow.make_room(room) } -> std::same_as<std::error_code>;
};

}  // namespace detail

/// Decides what becomes of a push that does not fit.
///
/// - `static constexpr bool drops`: whether values may vanish whose push answered no error;
/// - `make_room(room) -> std::error_code`: called when the queue is full. No error: there is room
///   now, or the value that is pushed was dropped.
///
/// `room.full()` asks. `room.drop_oldest()` drops the first value; queue_full while the queue is
/// drained, or if the storage gives nothing. `room.drop_newest()` drops the value that is pushed:
/// the push answers no error. What is dropped goes to the queue's observer, one by one.
template <class O>
concept OverflowLike =
    std::move_constructible<O> && detail::SaysWhetherItDrops<O> && detail::HasMakeRoom<O>;

namespace explain {

/// Names every requirement of OverflowLike that O lacks.
template <class O>
consteval bool overflow_like() {
    static_assert(std::move_constructible<O>, "OverflowLike: O must be move constructible");
    static_assert(detail::SaysWhetherItDrops<O>,
                  "OverflowLike: O needs 'static constexpr bool drops'");
    static_assert(detail::HasMakeRoom<O>,
                  "OverflowLike: O needs 'make_room(auto& room) -> std::error_code', see "
                  "docs/queue.md");
    return OverflowLike<O>;
}

}  // namespace explain

/// What does not fit is refused with QueueErrc::queue_full.
///
/// Models: OverflowLike.   Thread safety: any thread (no state).
struct Reject {
    static constexpr bool drops = false;
    template <class Room>
    [[nodiscard]] std::error_code make_room(Room&) noexcept {
        return make_error_code(QueueErrc::queue_full);
    }
};

}}  // namespace belay
