// SPDX-License-Identifier: MIT
/// \file belay/queue/drop_newest.hpp
/// DropNewest: a full queue lets what is pushed fall, and keeps what it has.
#pragma once

#include <belay/queue/overflow_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Takes the push, and drops its value: for those who push and must not care, such as a sampler.
///
/// It differs from Reject in who learns of it: the push answers no error, and the queue's observer
/// gets the value, `on_dropped(value)`.
///
/// Models: OverflowLike.   Thread safety: any thread (no state).
/// Source: kotlinx.coroutines, BufferOverflow.DROP_LATEST, which has the same contract.
struct DropNewest {
    static constexpr bool drops = true;

    /// Errors: none.
    template <class Room>
    [[nodiscard]] std::error_code make_room(Room& room) {
        room.drop_newest();
        return {};
    }
};

}}  // namespace belay
