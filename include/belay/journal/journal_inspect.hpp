// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_inspect.hpp
/// tool::inspect_journal: reads a journal's files, damaged or not, and changes nothing.
///
/// It is for tools and tests, and belay.hpp does not include it.
#pragma once

#include <algorithm>  // std::sort
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/journal_recovery.hpp>
#include <belay/journal/detail/segment_inspector.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// The result of `tool::inspect_journal`.
struct JournalReport {
    /// The content of one file of a journal.
    struct Segment {
        std::string path;
        std::uint64_t index = 0;
        std::uint64_t bytes = 0;       ///< size of the file
        std::uint64_t end = 0;         ///< where its readable part ends
        std::uint64_t operations = 0;  ///< operations that can be read
        std::uint64_t first = 0;       ///< number of the first of these; 0: there is none
        std::uint64_t last = 0;
        bool sealed = false;
    };

    /// Bytes that differ from what was written.
    struct Damage {
        std::string path;
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;  ///< 0: the file as a whole
        std::string what;
    };

    /// A range of operation numbers, both ends included.
    struct Range {
        std::uint64_t first = 0;
        std::uint64_t last = 0;

        friend bool operator==(const Range&, const Range&) = default;
    };

    Id journal{};
    Id store_pin{};
    std::uint32_t run = 0;         ///< the last run that can be read
    std::uint64_t acked = 0;       ///< everything up to this number is acknowledged
    std::uint64_t operations = 0;  ///< operations that wait and can be read
    std::size_t longest = 0;       ///< bytes of the longest operation that can be read
    Bytes note;                    ///< the kept note
    std::vector<Segment> segments;
    std::vector<Damage> damages;
    /// Operations that wait to be acknowledged and cannot be read.
    std::vector<Range> lost;
    /// The number of bytes at the end of the last file that are no record. They are an unfinished
    /// write, which opening clears, or the last write of all, damaged, which no later record
    /// confirms.
    std::uint64_t unfinished_bytes = 0;
    /// Whether the last file was made by a roll that was not finished; opening removes it.
    bool unfinished_roll = false;

    [[nodiscard]] bool is_whole() const noexcept { return damages.empty() && lost.empty(); }
};

}}}  // namespace belay::tool

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Runs one inspection, file by file.
template <class FileSystem, class OnOperation>
class JournalInspector {
public:
    JournalInspector(FileSystem& fs, const std::string& path, OnOperation& on_operation) noexcept
        : fs_{fs}, path_{path}, on_operation_{on_operation} {}

    [[nodiscard]] Result<tool::JournalReport, JournalError> run() {
        if (JournalError error = list()) return error;
        // A roll makes the next file before it seals the one before. If that seal is missing and
        // the next file is still as it was made, a crash interrupted the roll.
        if (Result<File> last = fs_.open(path_of(indices_.back()), OpenMode::read)) {
            SegmentBytes<File> bytes{std::move(*last)};
            fresh_ = fresh_segment(bytes, indices_.back());
        }
        for (std::size_t i = 0; i < indices_.size(); ++i) {
            if (i != 0 && indices_[i] - indices_[i - 1] != 1) {
                missing_.push_back({path_of(indices_[i - 1] + 1), 0, 0,
                                    "files are missing from this one on; their number is " +
                                        std::to_string(indices_[i] - indices_[i - 1] - 1)});
                behind_gap_ = indices_[i];
            }
            if (JournalError error = look_at(i)) return error;
        }
        conclude();
        if (found_.is_whole()) ask_opening();
        return std::move(found_);
    }

private:
    using File = typename FileSystem::File;

    [[nodiscard]] std::string path_of(std::uint64_t index) const {
        return path_ + '/' + journal_format::segment_name(index);
    }
    void damage_file(std::uint64_t index, std::string what) {
        found_.damages.push_back({path_of(index), 0, 0, std::move(what)});
    }

    JournalError list() {
        const Result<std::vector<std::string>> names = fs_.list(path_);
        if (!names) {
            const bool none = names.error() == std::errc::no_such_file_or_directory;
            return {names.error(), path_, 0, none ? "the directory does not exist" : ""};
        }
        for (const std::string& name : *names) {
            const std::uint64_t index = journal_format::segment_index(name);
            if (index != 0) indices_.push_back(index);
        }
        std::sort(indices_.begin(), indices_.end());
        if (!indices_.empty()) return {};
        return {make_error_code(std::errc::no_such_file_or_directory), path_, 0,
                "the directory has no journal"};
    }

    JournalError look_at(std::size_t i) {
        const std::uint64_t index = indices_[i];
        tool::JournalReport::Segment segment;
        segment.path = path_of(index);
        segment.index = index;
        Result<File> file = fs_.open(segment.path, OpenMode::read);
        if (const std::error_code error = file.error()) {
            // Deleted since the names were listed, by the process that has the journal open.
            const bool gone = error == std::errc::no_such_file_or_directory;
            if (gone && found_.segments.empty()) return {};
            damage_file(index, "cannot be read: " + error.message());
            found_.segments.push_back(std::move(segment));
            return {};
        }
        SegmentBytes<File> bytes{std::move(*file)};
        segment.bytes = bytes.file_bytes();
        if (index == behind_gap_) {
            const auto header = journal_format::decode_segment_header(
                bytes.view(0, journal_format::segment_header_bytes));
            row_begins_ = header ? header->first : ~std::uint64_t{0};
        }
        const bool is_last = i + (fresh_ ? 2U : 1U) >= indices_.size();
        if (is_last && found_.unfinished_roll && fresh_->journal == outline_.journal) {
            found_.segments.push_back(std::move(segment));
            return {};
        }
        SegmentInspector inspector{bytes, index, is_last, outline_};
        const auto on_each = [this](std::uint64_t number, BytesView body) {
            found_.longest = larger(found_.longest, body.size());
            on_operation_(number, body);
        };
        inspector.run(on_each);
        if (inspector.error()) return {inspector.error(), segment.path, 0, {}};
        if (bytes.error()) damage_file(index, "cannot be read: " + bytes.error().message());
        segment.end = inspector.end();
        segment.operations = inspector.operations();
        segment.first = inspector.first();
        segment.last = inspector.last();
        segment.sealed = inspector.sealed();
        for (const DamagedPart& part : inspector.damages()) {
            found_.damages.push_back({segment.path, part.offset, part.bytes, part.what});
        }
        found_.unfinished_bytes = inspector.unfinished_bytes();
        found_.unfinished_roll = is_last && i + 1 != indices_.size() && !inspector.sealed();
        // The next file is made before this one is sealed.
        if (inspector.sealed() && i + 1 == indices_.size()) {
            damage_file(index + 1, "the file is missing");
        }
        found_.segments.push_back(std::move(segment));
        return {};
    }

    /// Combines the results of all files.
    void conclude() {
        // A crash during the deletion of files may have left any of them.
        if (row_begins_ > outline_.acked + 1) {
            found_.damages.insert(found_.damages.end(), missing_.begin(), missing_.end());
        }
        if (outline_.first > outline_.acked + 1) {
            outline_.gaps.insert(outline_.gaps.begin(), {outline_.acked + 1, outline_.first - 1});
            if (found_.damages.empty()) {
                damage_file(indices_.front() - 1, "the files before this one are missing");
            }
        }
        found_.journal = outline_.journal;
        found_.store_pin = outline_.pin;
        found_.run = outline_.run;
        found_.acked = outline_.acked;
        found_.note = std::move(outline_.note);
        found_.operations = outline_.last > outline_.acked ? outline_.last - outline_.acked : 0;
        for (const NumberGap& gap : outline_.gaps) {
            const std::uint64_t first = larger(gap.first, outline_.acked + 1);
            if (first > gap.last) continue;
            found_.lost.push_back({first, gap.last});
            if (gap.last <= outline_.last) found_.operations -= gap.last - first + 1;
        }
    }

    /// Checks a journal that looks whole by opening's own reading. It tries twice, because files of
    /// a journal that is open elsewhere may appear and disappear while it reads.
    void ask_opening() {
        JournalOptions options;
        options.verify = Verify::everything;
        JournalError rejection;
        for (int i = 0; i < 2; ++i) {
            JournalRecovery<FileSystem> opening{fs_, path_, options};
            if (opening.look()) return;
            const JournalError& now = opening.error;
            if (i != 0 && (now.path != rejection.path || now.offset != rejection.offset)) return;
            rejection = now;
        }
        std::string what = rejection.what.empty() ? rejection.code.message() : rejection.what;
        found_.damages.push_back({rejection.path, rejection.offset, 0, std::move(what)});
    }

    FileSystem& fs_;
    const std::string& path_;
    OnOperation& on_operation_;
    std::vector<std::uint64_t> indices_;
    std::optional<journal_format::SegmentHeader> fresh_;
    JournalOutline outline_;
    tool::JournalReport found_;
    std::vector<tool::JournalReport::Damage> missing_;  // missing files in the middle
    std::uint64_t behind_gap_ = 0;                      // index of the file after the last missing
                                                        // one
    std::uint64_t row_begins_ = 0;                      // the number with which that file begins
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// Reads every byte of a journal and reports all operations and all damage.
///
/// It calls `on_operation(number, body)` for each operation in directory `path` that can be read,
/// acknowledged or not, in their order. After damage it continues with the next record that is
/// whole.
///
/// It takes no lock and writes nothing, so you may inspect a journal that is open elsewhere. Then
/// the end may look unfinished, and files that are deleted meanwhile may look missing.
///
/// Errors: the reason why nothing can be read: no such directory, no journal in it, files of
/// another version. Damage is no error: see tool::JournalReport.
/// Throws: std::bad_alloc; what on_operation throws.
/// Memory: the longest operation, and a quarter of a byte for each operation.
/// Complexity: O(bytes), reads everything a few times.
template <FileSystemLike FileSystem, class OnOperation>
[[nodiscard]] Result<JournalReport, JournalError> inspect_journal(FileSystem& fs,
                                                                  const std::string& path,
                                                                  OnOperation&& on_operation) {
    return detail::JournalInspector<FileSystem, OnOperation>{fs, path, on_operation}.run();
}

}}}  // namespace belay::tool
