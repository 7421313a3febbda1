// SPDX-License-Identifier: MIT
// Goal: the defaults are valid, and invalid options are detected before a file is touched.
#include <belay/journal/journal_options.hpp>

using namespace belay;

static_assert(JournalOptions{}.check().empty());
static_assert(JournalOptions{}.flush == Flush::group && JournalOptions{}.create);
static_assert(JournalOptions{}.verify == Verify::tail);
static_assert(JournalOptions{.segment_bytes = 4096, .record_bytes_max = 2328}.check().empty());
static_assert(detail::segment_bytes_for(0) == 1768, "the sentence of check() names it");
static_assert(!JournalOptions{.segment_bytes = 4096, .record_bytes_max = 2329}.check().empty(),
              "there is room beside for a note, the reserve and the seal");
static_assert(!JournalOptions{.segment_bytes = 4095, .record_bytes_max = 16}.check().empty());
static_assert(JournalOptions{.segment_bytes = 4096, .record_bytes_max = 16}.check().empty());
static_assert(!JournalOptions{.segment_bytes = (std::size_t{1} << 30) + 1}.check().empty());
static_assert(!JournalOptions{.segment_bytes = 8192, .record_bytes_max = 8192}.check().empty(),
              "a segment has room for its header, one record and what is kept in reserve");
