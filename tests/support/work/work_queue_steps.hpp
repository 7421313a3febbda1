// SPDX-License-Identifier: MIT
/// \file tests/support/work/work_queue_steps.hpp
/// Steps that tests of a WorkQueue over a MemoryLog repeat.
#pragma once

#include <belay/work/detail/work_entry.hpp>
#include <belay/work/work_queue.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/journal/memory_log.hpp"

namespace belay_test {

/// Pushes and ends items in turn, until the log has space for more only after it copies the entries
/// at its front.
template <class Work>
void pass_through(Work& work, int items, belay::Moment now) {
    for (int i = 0; i < items; ++i) {
        const auto id = work.push(belay::Bytes(100), now);
        REQUIRE(id);
        const auto lease = work.lease(now);
        REQUIRE(lease);
        REQUIRE(lease->id == *id);
        REQUIRE_FALSE(work.ack(*lease));
        REQUIRE_FALSE(work.commit());
    }
}

/// The numbers of the entries of a kind.
inline std::vector<std::uint64_t> entries_of_kind(const MemoryMedium& medium,
                                                  belay::detail::WorkKind kind) {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, bytes] : medium.entries) {
        if (static_cast<belay::detail::WorkKind>(bytes[0]) == kind) numbers.push_back(number);
    }
    return numbers;
}

}  // namespace belay_test
