// SPDX-License-Identifier: MIT
/// \file belay/queue/drop_oldest.hpp
/// DropOldest: a full queue forgets its oldest value, and says which.
#pragma once

#include <concepts>  // std::default_initializable
#include <utility>   // std::move

#include <belay/queue/overflow_like.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
struct IgnoreDropped {
    void operator()(const auto&) const noexcept {}
};
}  // namespace detail

/// Makes room by dropping the oldest value, for queues of which only the newest matter.
///
/// `report(value)` is called with each value that is dropped; it must not call the queue. While the
/// queue is drained its oldest value is at work, and is not dropped: then the push is refused.
///
/// Models: OverflowLike.   Thread safety: that of `Report`.
template <class Report = detail::IgnoreDropped>
class DropOldest {
public:
    static constexpr bool drops = true;

    DropOldest()
        requires std::default_initializable<Report>
    = default;
    explicit DropOldest(Report report) : report_{std::move(report)} {}

    /// Errors: queue_full while the queue is drained; those of the storage.   Throws: what `report`
    /// throws; the value is gone then.
    template <class Room>
    [[nodiscard]] std::error_code make_room(Room& room) {
        while (room.full()) {
            if (const std::error_code error = room.drop_oldest(report_)) return error;
        }
        return {};
    }

private:
    [[no_unique_address]] Report report_;
};

DropOldest() -> DropOldest<>;

static_assert(OverflowLike<DropOldest<>>);

}  // namespace belay::inline BELAY_ABI
