// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/seed_search.hpp
/// find_runs: finds the seeds of the records of a segment whose header is unreadable.
#pragma once

#include <algorithm>  // std::sort, std::max_element
#include <cstdint>    // std::uint32_t
#include <optional>   // std::optional
#include <vector>     // std::vector

#include <belay/journal/detail/record_evidence.hpp>
#include <belay/journal/detail/record_search.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The records of a segment that have one seed.
struct SeededRows {
    std::uint32_t seed;
    std::uint64_t records = 0;              // that follow another record with this seed
    std::optional<std::uint32_t> run = {};  // from an opening among them
    bool is_placed = false;                 // one begins where no body can be
};

/// Follows consecutive records from `first` on that need the same seed. `end` is their end.
template <class Source>
[[nodiscard]] SeededRows follow_row(RecordSearch<Source>& records, FoundRecord first,
                                    std::uint64_t& end) {
    SeededRows row{first.seed};
    std::optional<FoundRecord> next = first;
    for (FoundRecord record = first;; record = *next) {
        if (record.header.kind == journal_format::Kind::opening) {
            row.run = static_cast<std::uint32_t>(record.header.number);
        }
        end = record.end();
        // Reading there is worthwhile only if the first two agree.
        next = row.records == 0 ? records.peek(end) : records.at(end);
        if (!next || !record.is_followed_by(*next)) return row;
        ++row.records;
    }
}

/// Returns all rows of more than one record, merged by seed.   Complexity: O(n log n).
///
/// The first record of a segment is at a known offset. A row that begins there, or after rows and
/// openings from there on, is not part of a body.
template <class Source>
[[nodiscard]] std::vector<SeededRows> all_rows(RecordSearch<Source>& records) {
    std::vector<SeededRows> rows;
    std::uint64_t place = journal_format::segment_header_bytes;
    for (std::uint64_t at = records.candidate_from(0); at < records.end();) {
        std::uint64_t behind = at + journal_format::alignment;
        if (const std::optional<FoundRecord> found = records.at(at)) {
            std::uint64_t end = 0;
            SeededRows row = follow_row(records, *found, end);
            row.is_placed = at == place;
            if (row.records != 0 || (row.is_placed && row.run)) {
                rows.push_back(row);
                behind = end;
                if (row.is_placed) place = end;
            }
        }
        at = records.candidate_from(behind);
    }
    std::sort(rows.begin(), rows.end(),
              [](const SeededRows& a, const SeededRows& b) { return a.seed < b.seed; });
    std::size_t count = 0;
    for (const SeededRows& row : rows) {
        if (count == 0 || rows[count - 1].seed != row.seed) {
            rows[count++] = row;
        } else {
            rows[count - 1].records += row.records;
            if (row.run) rows[count - 1].run = row.run;
            rows[count - 1].is_placed = rows[count - 1].is_placed || row.is_placed;
        }
    }
    rows.resize(count, SeededRows{0});
    // An opening alone.
    std::erase_if(rows, [](const SeededRows& row) { return row.records == 0; });
    return rows;
}

/// Finds the runs of a segment without a header from its records. The seed of most of them is that
/// of a run. Returns none if no two records are consecutive.
///
/// Sets `is_counted` if an opening gives the number of that run. Otherwise the run gets the number
/// one million.
template <class Source>
[[nodiscard]] std::optional<RecordEvidence<Source>> find_runs(RecordSearch<Source>& records,
                                                              bool& is_counted) {
    constexpr std::uint32_t window = journal_format::runs_in_a_row_max;
    const std::vector<SeededRows> rows = all_rows(records);
    if (rows.empty()) return std::nullopt;
    const SeededRows& most = *std::max_element(
        rows.begin(), rows.end(),
        [](const SeededRows& a, const SeededRows& b) { return a.records < b.records; });
    const auto is_near = [](std::uint32_t distance, const SeededRows& row) {
        if (row.is_placed) return distance <= window;
        return RecordEvidence<Source>::is_within_reach(distance, row.records + 1);
    };
    std::uint32_t run = window;
    is_counted = most.run.has_value();
    if (is_counted) run = *most.run;
    for (const SeededRows& row : rows) {
        // A seed is nonce plus run, so two seeds of one segment differ as their runs do.
        const std::uint32_t other = row.run ? *row.run - (row.seed - most.seed) : 0;
        if (is_counted || other == 0 || !is_near(*row.run - other, row)) continue;
        run = other;
        is_counted = true;
    }
    RecordEvidence evidence{records, most.seed - run};
    evidence.add_run(run);
    for (const SeededRows& row : rows) {
        const std::uint32_t other = row.seed - evidence.nonce();
        const std::uint32_t distance = other > run ? other - run : run - other;
        const bool is_own = is_counted && row.run == other && distance <= window;
        if (other != 0 && (is_own || is_near(distance, row))) evidence.add_run(other);
    }
    return evidence;
}

}}}  // namespace belay::detail
