// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_outline.hpp
/// JournalOutline: what an inspection gathers over the segments of a journal, damaged or not.
#pragma once

#include <cstdint>  // std::uint64_t
#include <vector>   // std::vector

#include <belay/core/bytes.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Numbers that no record has, although there were operations with them.
struct NumberGap {
    std::uint64_t first;
    std::uint64_t last;
};

/// What the segments of a journal say together.
struct JournalOutline {
    bool id_known = false;
    bool numbers_known = false;  // where they begin
    Id journal{};
    Id pin{};
    std::uint32_t run = 0;
    std::uint64_t acked = 0;
    std::uint64_t first = 0;  // the first operation that there is or must have been; 0: unknown
    std::uint64_t last = 0;   // the last one
    Bytes note;
    std::vector<NumberGap> gaps;
};

/// Bytes of a segment that are not what was written.
struct DamagedPart {
    std::uint64_t offset;
    std::uint64_t bytes;
    const char* what;
};

}}}  // namespace belay::detail
