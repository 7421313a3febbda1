// SPDX-License-Identifier: MIT
/// \file belay/queue/journal_inspect.hpp
/// inspect_journal: reads a journal's files as they lie there, damaged or not, and changes nothing.
///
/// For tools and tests; belay.hpp does not include it.
#pragma once

#include <algorithm>  // std::sort
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/order.hpp>
#include <belay/queue/detail/segment_inspector.hpp>
#include <belay/queue/file_system_like.hpp>
#include <belay/queue/journal_error.hpp>

namespace belay::inline BELAY_ABI {

/// What one file of a journal holds.
struct InspectedSegment {
    std::string path;
    std::uint64_t index = 0;
    std::uint64_t bytes = 0;       ///< size of the file
    std::uint64_t end = 0;         ///< where what can be read of it ends
    std::uint64_t operations = 0;  ///< that can be read
    std::uint64_t first = 0;       ///< number of the first of them; 0: there is none
    std::uint64_t last = 0;
    bool sealed = false;
};

/// Bytes that are not what was written.
struct JournalDamage {
    std::string path;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;  ///< 0: the file as a whole
    std::string what;
};

/// Operations by number, both ends included.
struct OperationRange {
    std::uint64_t first = 0;
    std::uint64_t last = 0;

    friend bool operator==(const OperationRange&, const OperationRange&) = default;
};

/// What `inspect_journal` found.
struct JournalInspection {
    Id journal{};
    Id store_pin{};
    std::uint32_t run = 0;         ///< the last that can be read
    std::uint64_t acked = 0;       ///< everything up to it is acknowledged
    std::uint64_t operations = 0;  ///< that wait and can be read
    std::size_t longest = 0;       ///< bytes of the longest operation that can be read
    Bytes note;                    ///< the kept note
    std::vector<InspectedSegment> segments;
    std::vector<JournalDamage> damages;
    /// Operations that wait to be acknowledged, and cannot be read.
    std::vector<OperationRange> lost;
    /// Bytes at the end of the last file that are no record: an unfinished write, which opening
    /// clears away; or the last write of all, damaged, which nothing vouches for.
    std::uint64_t unfinished_bytes = 0;
    /// The last file was made by a roll that was not finished; opening removes it.
    bool unfinished_roll = false;

    [[nodiscard]] bool is_whole() const noexcept { return damages.empty() && lost.empty(); }
};

/// Reads every byte of the journal in directory `path`, and calls `on_operation(number, body)` for
/// each operation that can be read, acknowledged or not, in their order. Behind damage it goes on
/// with the next record that is whole.
///
/// Takes no lock and writes nothing, so it may look at a journal that is open elsewhere: that one's
/// end may then look unfinished, and files that are given up meanwhile, missing.
///
/// Errors: what keeps it from reading at all: no such directory, no journal in it, files of a later
///         version. Damage is no error: see JournalInspection.
/// Throws: std::bad_alloc; what on_operation throws.   Memory: one file.   Complexity: O(bytes).
template <FileSystemLike FileSystem, class OnOperation>
[[nodiscard]] Result<JournalInspection, JournalError> inspect_journal(FileSystem& fs,
                                                                      const std::string& path,
                                                                      OnOperation&& on_operation) {
    using namespace journal_format;
    const Result<std::vector<std::string>> names = fs.list(path);
    if (!names) return JournalError{names.error(), path, 0, {}};
    std::vector<std::uint64_t> indices;
    for (const std::string& name : *names) {
        if (const std::uint64_t index = segment_index(name); index != 0) indices.push_back(index);
    }
    std::sort(indices.begin(), indices.end());
    if (indices.empty()) {
        return JournalError{make_error_code(std::errc::no_such_file_or_directory), path, 0,
                            "there is no journal in it"};
    }

    // A roll makes the next file before it seals the one before: without that seal a file that is
    // still as it was made is the trace of a crash.
    Bytes bytes;
    std::optional<SegmentHeader> fresh;
    if (!detail::read_whole_file(fs, path + '/' + segment_name(indices.back()), bytes)) {
        fresh = detail::fresh_segment(bytes, indices.back());
    }

    JournalInspection found;
    detail::JournalFacts facts;
    for (std::size_t i = 0; i < indices.size(); ++i) {
        const std::uint64_t index = indices[i];
        if (i != 0 && index - indices[i - 1] != 1) {
            found.damages.push_back({path + '/' + segment_name(indices[i - 1] + 1), 0, 0,
                                     "files are missing from here on, as many as " +
                                         std::to_string(index - indices[i - 1] - 1)});
        }
        InspectedSegment& segment = found.segments.emplace_back();
        segment.path = path + '/' + segment_name(index);
        segment.index = index;
        if (const std::error_code error = detail::read_whole_file(fs, segment.path, bytes)) {
            // Given up since the names were listed, by whoever has it open.
            if (error == std::errc::no_such_file_or_directory && found.segments.size() == 1) {
                found.segments.pop_back();
                continue;
            }
            found.damages.push_back({segment.path, 0, 0, "cannot be read: " + error.message()});
            continue;
        }
        segment.bytes = bytes.size();
        const bool is_last = i + (fresh ? 2U : 1U) >= indices.size();
        if (is_last && found.unfinished_roll && fresh->journal == facts.journal) continue;
        detail::SegmentInspector inspector{bytes, index, is_last, facts};
        const auto on_each = [&](std::uint64_t number, BytesView body) {
            found.longest = detail::larger(found.longest, body.size());
            on_operation(number, body);
        };
        inspector.run(on_each);
        if (inspector.error()) return JournalError{inspector.error(), segment.path, 0, {}};
        segment.end = inspector.end();
        segment.operations = inspector.operations();
        segment.first = inspector.first();
        segment.last = inspector.last();
        segment.sealed = inspector.sealed();
        for (const detail::DamagedPart& part : inspector.damages()) {
            found.damages.push_back({segment.path, part.offset, part.bytes, part.what});
        }
        found.unfinished_bytes = inspector.unfinished_bytes();
        found.unfinished_roll = is_last && i + 1 != indices.size() && !inspector.sealed();
        // The next file is made before this one is sealed.
        if (inspector.sealed() && i + 1 == indices.size()) {
            found.damages.push_back(
                {path + '/' + segment_name(index + 1), 0, 0, "the file is missing"});
        }
    }
    if (facts.first > facts.acked + 1) {
        facts.gaps.insert(facts.gaps.begin(), {facts.acked + 1, facts.first - 1});
        if (found.damages.empty()) {
            found.damages.push_back({path + '/' + segment_name(indices.front() - 1), 0, 0,
                                     "files are missing before this number"});
        }
    }

    found.journal = facts.journal;
    found.store_pin = facts.pin;
    found.run = facts.run;
    found.acked = facts.acked;
    found.note = std::move(facts.note);
    found.operations = facts.last > facts.acked ? facts.last - facts.acked : 0;
    for (const detail::NumberGap& gap : facts.gaps) {
        const std::uint64_t first = detail::larger(gap.first, facts.acked + 1);
        if (first > gap.last) continue;
        found.lost.push_back({first, gap.last});
        if (gap.last <= facts.last) found.operations -= gap.last - first + 1;
    }
    return found;
}

}  // namespace belay::inline BELAY_ABI
