// SPDX-License-Identifier: MIT
/// \file belay/queue/drop_oldest.hpp
/// DropOldest: a full queue forgets its oldest value.
#pragma once

#include <belay/queue/overflow_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Makes room by dropping the oldest values, for queues of which only the newest matter.
///
/// The queue's observer learns of each: `on_dropped(value)`. While the queue is drained its oldest
/// value is at work, and is not dropped: then the push is refused.
///
/// Room is made before the storage is asked: what it refuses for another reason, too_large or the
/// bound of a Priority's lane for example, has cost the oldest all the same. Over a Priority the
/// "oldest" is what would be taken next.
///
/// Models: OverflowLike.   Thread safety: any thread (no state).
struct DropOldest {
    static constexpr bool drops = true;

    /// Errors: queue_full while the queue is drained, or if the storage gives nothing.
    template <class Room>
    [[nodiscard]] std::error_code make_room(Room& room) {
        while (room.full()) {
            if (const std::error_code error = room.drop_oldest()) return error;
        }
        return {};
    }
};

}}  // namespace belay
