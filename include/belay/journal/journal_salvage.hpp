// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_salvage.hpp
/// tool::salvage_journal: copies what can still be read of a damaged journal into a new one.
///
/// It is for tools, and belay.hpp does not include it.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move

#include <belay/journal/journal.hpp>
#include <belay/journal/journal_inspect.hpp>

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// The result of `tool::salvage_journal`.
struct JournalSalvageReport {
    JournalReport inspection;  ///< the inspection of the damaged journal
    std::uint64_t copied = 0;  ///< operations copied into the new journal, durably
};

}}}  // namespace belay::tool

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Makes a new journal in directory `to`, for operations of up to `longest` bytes.
///
/// Errors: file_exists if there is a journal already; then nothing has changed. Those of
/// Journal::open.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<Journal<FileSystem>, JournalError> open_salvaged(FileSystem& fs,
                                                                      const std::string& to,
                                                                      JournalOptions options,
                                                                      std::size_t longest) {
    // Checked before it is opened, because opening a journal changes it.
    if (const Result<std::vector<std::string>> names = fs.list(to); names) {
        for (const std::string& name : *names) {
            if (journal_format::segment_index(name) == 0) continue;
            return JournalError{make_error_code(std::errc::file_exists), to, 0,
                                "the directory already has a journal"};
        }
    }
    options.create = true;
    options.record_bytes_max = larger(options.record_bytes_max, longest);
    options.segment_bytes =
        larger(options.segment_bytes, segment_bytes_for(options.record_bytes_max));
    return Journal<FileSystem>::open(fs, to, options);
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// Copies the readable operations of a damaged journal into a new journal in directory `to`.
///
/// It copies all operations that can be read and were not acknowledged, in their order, and the
/// kept note. The old journal is not changed. The new journal accepts records as long as the
/// longest record of the old one, even if the options specify less.
///
/// The new journal has another id, and numbers from 1. A session's receiver treats it as another
/// sender. Therefore an operation takes effect once more if the receiver has it, and its
/// acknowledgement had not arrived or was in a damaged part.
///
/// Do not use it for the journal of a WorkQueue, whose entries refer to others by number. Use
/// `salvage_work_queue` for that; WorkQueue::open rejects a copy made by this function.
///
/// Errors: those of inspect_journal, of opening and writing; file_exists if `to` holds a journal
/// already. After an error `to` may hold a part.
/// Throws: std::bad_alloc.   Complexity: O(bytes), reads everything twice.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<JournalSalvageReport, JournalError> salvage_journal(
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): `to` must be empty
    FileSystem& fs, const std::string& from, const std::string& to,
    const JournalOptions& options = {}) {
    // Reads twice, because the record of an acknowledgement is after the operations that it covers.
    auto inspection = inspect_journal(fs, from, [](std::uint64_t, BytesView) {});
    if (!inspection) return inspection.error();
    auto journal = detail::open_salvaged(fs, to, options, inspection->longest);
    if (!journal) return journal.error();
    JournalSalvageReport done{std::move(*inspection), 0};
    std::error_code error;
    const auto copy = [&](std::uint64_t number, BytesView body) {
        if (error || number <= done.inspection.acked) return;
        error = journal->append(body).error();
        if (!error) ++done.copied;
        // The buffer of the new journal is bounded; the number of operations in the old one is not.
        if (!error && done.copied % 1024 == 0) error = journal->commit();
    };
    const auto again = inspect_journal(fs, from, copy);
    if (!again) return again.error();
    if (!error && !done.inspection.note.empty()) error = journal->keep(done.inspection.note);
    if (!error) error = journal->commit();
    if (error) return JournalError{error, to, 0, {}};
    return done;
}

}}}  // namespace belay::tool
