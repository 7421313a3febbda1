// SPDX-License-Identifier: MIT
/// \file belay/queue/drop_oldest.hpp
/// DropOldest: a full queue drops its oldest value.
#pragma once

#include <belay/queue/overflow_like.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
