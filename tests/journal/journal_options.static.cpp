// SPDX-License-Identifier: MIT
// Goal: the defaults are valid, and invalid options are detected before a file is touched.
#include <belay/journal/journal_options.hpp>

using namespace belay;

static_assert(detail::possible(JournalOptions{}));
static_assert(JournalOptions{}.flush == Flush::group && JournalOptions{}.create);
static_assert(JournalOptions{}.verify == Verify::tail);
static_assert(detail::possible({.segment_bytes = 4096, .record_bytes_max = 2328}));
static_assert(!detail::possible({.segment_bytes = 4096, .record_bytes_max = 2329}),
              "there is room beside for a note, the reserve and the seal");
static_assert(!detail::possible({.segment_bytes = 4095, .record_bytes_max = 16}));
static_assert(detail::possible({.segment_bytes = 4096, .record_bytes_max = 16}));
static_assert(!detail::possible({.segment_bytes = (std::size_t{1} << 30) + 1}));
static_assert(!detail::possible({.segment_bytes = 8192, .record_bytes_max = 8192}),
              "a segment has room for its header, one record and what is kept in reserve");
