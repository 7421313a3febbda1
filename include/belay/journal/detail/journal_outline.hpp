// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_outline.hpp
/// JournalOutline: what an inspection collects from the segments of a journal, damaged or not.
#pragma once

#include <cstdint>  // std::uint64_t
#include <vector>   // std::vector

#include <belay/core/bytes.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Numbers of operations whose records are missing.
struct NumberGap {
    std::uint64_t first;
    std::uint64_t last;
};

/// The facts that the segments of a journal contain together.
struct JournalOutline {
    bool id_known = false;
    bool numbers_known = false;  // whether it is known where they begin
    Id journal{};
    Id pin{};
    std::uint32_t run = 0;
    std::uint64_t acked = 0;
    std::uint64_t first = 0;  // the first operation that exists or must have existed; 0: unknown
    std::uint64_t last = 0;   // the last one
    Bytes note;
    std::vector<NumberGap> gaps;
};

/// Bytes of a segment that differ from what was written.
struct DamagedPart {
    std::uint64_t offset;
    std::uint64_t bytes;
    const char* what;
};

}}}  // namespace belay::detail
