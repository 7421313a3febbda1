// SPDX-License-Identifier: MIT
/// \file tests/support/journal/small_files.hpp
/// Journals whose files are small, so that tests fill many of them.
#pragma once

#include <belay/journal/journal_options.hpp>

namespace belay_test {

inline constexpr belay::JournalOptions files_of_64k{.segment_bytes = 64 << 10,
                                                    .record_bytes_max = 1024};
inline constexpr belay::JournalOptions files_of_4k{.segment_bytes = 4096, .record_bytes_max = 1000};

}  // namespace belay_test
