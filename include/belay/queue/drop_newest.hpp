// SPDX-License-Identifier: MIT
/// \file belay/queue/drop_newest.hpp
/// DropNewest: a full queue drops the pushed value, and keeps its other values.
#pragma once

#include <belay/queue/overflow_like.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
