// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_inspect.hpp
/// tool::inspect_journal: reads the files of a journal, damaged or not, and changes nothing. It is
/// for tools and tests, and belay.hpp does not include it.
#pragma once

#include <algorithm>  // std::sort
#include <cstddef>    // std::ptrdiff_t
#include <cstdint>    // std::uint32_t, std::uint64_t
#include <cstring>    // std::memcpy
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/detail/file_window.hpp>
#include <belay/journal/detail/journal_recovery.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/id.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/journal/journal_options.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace tool {

/// The result of `tool::inspect_journal`.
struct JournalReport {
    /// The content of one file of a journal.
    struct Segment {
        /// Its file.
        std::string path;
        /// Its number in the order of the files.
        std::uint64_t index = 0;
        std::uint64_t bytes = 0;       ///< size of the file
        std::uint64_t end = 0;         ///< where its readable part ends
        std::uint64_t operations = 0;  ///< operations that can be read
        std::uint64_t first = 0;       ///< number of the first of these; 0: there is none
        /// Number of the last of these.
        std::uint64_t last = 0;
        /// Whether the writer ended it, with the list of its operations.
        bool sealed = false;
    };

    /// Bytes that differ from what was written.
    struct Damage {
        /// The file.
        std::string path;
        /// Where in the file, in bytes.
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;  ///< 0: the file as a whole
        /// The damage, in words.
        std::string what;
    };

    /// A range of operation numbers, both ends included.
    struct Range {
        /// The first number.
        std::uint64_t first = 0;
        /// The last number.
        std::uint64_t last = 0;

        friend bool operator==(const Range&, const Range&) = default;
    };

    /// The id of the journal.
    Id journal{};
    /// The id of the store that it belongs to; empty if none is known.
    Id store_pin{};
    std::uint32_t run = 0;         ///< the last run that can be read
    std::uint64_t acked = 0;       ///< everything up to this number is acknowledged
    std::uint64_t operations = 0;  ///< operations that wait and can be read
    std::size_t longest = 0;       ///< bytes of the longest operation that can be read
    Bytes note;                    ///< the kept note
    /// The files, in their order.
    std::vector<Segment> segments;
    /// The damaged places, in the order of the files.
    std::vector<Damage> damages;
    /// Operations that wait to be acknowledged and cannot be read.
    std::vector<Range> lost;
    /// The number of bytes at the end of the last file that are no record. They are an unfinished
    /// write, which opening clears, or the last write of all, damaged, which no later record
    /// confirms.
    std::uint64_t unfinished_bytes = 0;
    /// Whether the last file was made by a roll that was not finished; opening removes it.
    bool unfinished_roll = false;

    /// Returns whether nothing is damaged or missing.
    [[nodiscard]] bool is_whole() const noexcept { return damages.empty() && lost.empty(); }
};

}  // namespace tool

namespace detail {

/// The facts that the segments of a journal state together, in addition to the report.
struct JournalOutline {
    bool id_known = false;
    bool numbers_known = false;  // whether it is known where they begin
    std::uint64_t first = 0;     // the first operation that exists or must have existed; 0: unknown
    std::uint64_t last = 0;      // the last one
};

/// Returns the nonce of a segment without a header: that of most records which follow each other.
/// Returns none if no two do.   Complexity: O(n log n).
template <class Source>
[[nodiscard]] std::optional<std::uint32_t> find_nonce(RecordSearch<Source>& records) {
    struct Row {
        std::uint32_t nonce;
        std::uint64_t count;
    };
    std::vector<Row> rows;
    for (std::uint64_t at = records.candidate_from(journal_format::segment_header_bytes);
         at < records.end();) {
        std::uint64_t behind = at + journal_format::alignment;
        if (std::optional<FoundRecord> found = records.at(at)) {
            Row row{found->nonce, 0};
            // Reading there is worthwhile only if the first two agree.
            for (found = records.peek(found->end()); found && found->nonce == row.nonce;
                 found = records.at(behind)) {
                ++row.count;
                behind = found->end();
            }
            if (row.count != 0) rows.push_back(row);
        }
        at = records.candidate_from(behind);
    }
    std::sort(rows.begin(), rows.end(),
              [](const Row& a, const Row& b) { return a.nonce < b.nonce; });
    Row most{0, 0};
    Row sum{0, 0};
    for (const Row& row : rows) {
        sum = {row.nonce, row.count + (row.nonce == sum.nonce ? sum.count : 0)};
        if (sum.count > most.count) most = sum;
    }
    return most.count == 0 ? std::nullopt : std::optional{most.nonce};
}

/// A segment's file, and its bytes in the range that an opening reads too: no segment is longer.
/// Bytes that cannot be read are treated as absent, and `error` returns why.
template <class File>
struct SegmentBytes {
    /// Reads the file.   Throws: std::bad_alloc.   Complexity: O(bytes), reads all of it once.
    explicit SegmentBytes(File opened)
        : file{std::move(opened)},
          size{file.size()},
          part{file,
               window,
               {0, smaller<std::uint64_t>(bytes(), 2 * journal_format::segment_bytes_max)}} {}

    [[nodiscard]] std::error_code error() const noexcept {
        return size ? part.error() : size.error();
    }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return size ? *size : 0; }

    File file;
    FileWindow window;
    Result<std::uint64_t> size;
    FilePart<File> part;
};

/// Returns the header of a segment that was created and has no records yet, or none.
template <class File>
[[nodiscard]] std::optional<journal_format::SegmentHeader> fresh_segment(FilePart<File>& bytes,
                                                                         std::uint64_t index) {
    using namespace journal_format;
    const Result<SegmentHeader> header = decode_segment_header(bytes.view(0, segment_header_bytes));
    if (!header || header->index != index || header->made_bytes > bytes.size() ||
        bytes.used() > header->made_bytes) {
        return std::nullopt;
    }
    if (header->made_bytes == segment_header_bytes) return *header;
    // The kept note, if there was one.
    RecordSearch records{bytes};
    const std::optional<FoundRecord> note = records.at(segment_header_bytes);
    const bool whole = note && note->header.kind == Kind::note &&
                       note->end() == header->made_bytes && note->nonce == header->nonce;
    return whole ? std::optional{*header} : std::nullopt;
}

/// Reads one segment from its bytes.
template <class File>
class SegmentInspector {
public:
    /// `segment` has the path and the index, and gets the rest; `report` gets the facts of all
    /// segments, with every gap in the numbers as lost.
    SegmentInspector(FilePart<File>& bytes, bool is_last, tool::JournalReport& report,
                     tool::JournalReport::Segment& segment, JournalOutline& outline) noexcept
        : bytes_{bytes},
          is_last_{is_last},
          report_{report},
          segment_{segment},
          outline_{outline},
          records_{bytes} {}

    template <class OnOperation>
    void run(OnOperation& on_operation) {
        report_.unfinished_bytes = 0;
        if (!read_header()) return;
        read_records(on_operation);
        if (!error_) look_at_tail();
    }

    /// Returns why the file cannot be read as a segment at all: it has another version.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }

private:
    using Damage = tool::JournalReport::Damage;

    /// Reads the header. Returns false if no part of the file is usable.
    bool read_header() {
        using namespace journal_format;
        Result<SegmentHeader> header = decode_segment_header(head());
        if (!header && header.error() == QueueErrc::other_version) {
            header = with_this_version();
            if (!header) {
                error_ = make_error_code(QueueErrc::other_version);
                return false;
            }
            damages_.push_back(
                {segment_.path, 8, 4, "the version field was changed after it was written"});
        }
        if (!header || header->index != segment_.index) {
            damages_.push_back({segment_.path, 0,
                                smaller<std::uint64_t>(segment_header_bytes, bytes_.size()),
                                header ? "the file has the header of another file"
                                       : "the file has no segment header"});
            return find_nonce_without_header();
        }
        if (outline_.id_known && header->journal != report_.journal) {
            damages_.push_back(
                {segment_.path, 0, bytes_.size(), "the file belongs to another journal"});
            return false;
        }
        if (header->segment_bytes > bytes_.size()) {
            damages_.push_back({segment_.path, bytes_.size(), header->segment_bytes - bytes_.size(),
                                "the file was cut short"});
        }
        nonce_ = header->nonce;
        run_ = header->run;
        due_ = header->first;
        // The operations between this segment and the readable part of the one before it.
        if (outline_.numbers_known) note_gap(outline_.last + 1, header->first - 1);
        know_numbers(header->first);
        outline_.id_known = true;
        report_.journal = header->journal;
        report_.store_pin = header->pin;
        report_.run = run_;
        report_.acked = larger(report_.acked, header->acked);
        outline_.last = larger(outline_.last, header->first - 1);
        if (header->made_bytes == segment_header_bytes) report_.note.clear();
        return true;
    }

    [[nodiscard]] BytesView head() { return bytes_.view(0, journal_format::segment_header_bytes); }

    /// Returns the header as if it had the current version. A genuine header of another version
    /// would have another checksum.
    [[nodiscard]] Result<journal_format::SegmentHeader> with_this_version() {
        using namespace journal_format;
        SegmentHeaderBytes copy;
        std::memcpy(copy.data(), head().data(), copy.size());
        store_le<std::uint32_t>(copy.data() + 8, version);
        return decode_segment_header(copy);
    }

    void know_numbers(std::uint64_t first) noexcept {
        if (outline_.first == 0) outline_.first = first;
        outline_.numbers_known = true;
    }

    bool find_nonce_without_header() {
        const std::optional<std::uint32_t> found = find_nonce(records_);
        if (!found) return false;
        nonce_ = *found;
        run_ = report_.run;
        if (outline_.numbers_known) due_ = outline_.last + 1;
        is_in_a_row_ = false;
        has_skipped_ = true;
        return true;
    }

    template <class OnOperation>
    void read_records(OnOperation& on_operation) {
        using namespace journal_format;
        std::uint64_t at = segment_.end =
            smaller<std::uint64_t>(segment_header_bytes, bytes_.size());
        while (at < bytes_.size() && !segment_.sealed) {
            std::optional<FoundRecord> record = records_.at(at);
            if (!record || !goes_on(*record)) {
                if (passes_opening(at)) continue;
                if (!is_proven(at)) return;
                if (record && record->nonce == nonce_ && is_later(*record)) {
                    damages_.push_back({segment_.path, at, record->end() - at,
                                        "the opening of its run is missing"});
                } else {
                    record = records_.next(at + alignment, nonce_, [&](const FoundRecord& found) {
                        return run_of(found) >= run_;
                    });
                    if (!record) return;
                    settle_padding(false);
                    damages_.push_back(
                        {segment_.path, at, record->offset - at, "these bytes are not a record"});
                    has_skipped_ = true;
                }
            }
            settle_padding(record->header.kind == Kind::opening);
            look_at_padding(*record);
            is_in_a_row_ = is_in_a_row_ && record->offset == at;
            if (!take(*record, on_operation)) return;
            at = segment_.end = record->end();
            last_is_opening_ = record->header.kind == Kind::opening;
        }
    }

    /// Returns the run of a record: of the runs with its 24 bits, the one next to the current run.
    std::uint32_t run_of(const FoundRecord& found) const noexcept {
        constexpr std::uint32_t half = journal_format::run_in_record(~0U) / 2 + 1;
        if (found.header.kind == journal_format::Kind::opening) {
            return static_cast<std::uint32_t>(found.header.number);
        }
        return run_ + (journal_format::run_in_record(found.header.run - run_ + half) - half);
    }
    bool is_later(const FoundRecord& found) const noexcept { return run_of(found) > run_; }
    /// Returns whether a record belongs to the current run, or opens a later one. The opening may
    /// be in a part that was skipped.
    bool goes_on(const FoundRecord& found) const noexcept {
        const bool opens = found.header.kind == journal_format::Kind::opening;
        return found.nonce == nonce_ &&
               (is_later(found) ? opens || has_skipped_ : run_of(found) == run_ && !opens);
    }

    /// Skips an opening: openings with nothing between them are written to two positions in turn.
    bool passes_opening(std::uint64_t& at) {
        using namespace journal_format;
        const std::uint64_t behind = at + record_bytes(opening_payload_bytes);
        if (last_is_opening_ && is_older_opening(at)) {
            at = segment_.end = behind;
            last_is_opening_ = false;
            return true;
        }
        if (!is_last_ || !is_torn_opening(at)) return false;
        torn_opening_ = true;
        at = behind;
        return true;
    }
    bool is_older_opening(std::uint64_t at) {
        const std::optional<FoundRecord> found = records_.at(at);
        return found && found->nonce == nonce_ &&
               found->header.kind == journal_format::Kind::opening;
    }
    /// Returns whether the power failed while an opening was written there, before the last
    /// opening.
    bool is_torn_opening(std::uint64_t at) {
        using namespace journal_format;
        const std::uint64_t behind = at + record_bytes(opening_payload_bytes);
        if (bytes_.used() > behind + record_bytes(opening_payload_bytes)) return false;
        const std::optional<FoundRecord> next = records_.at(behind);
        return next && next->nonce == nonce_ &&
               next->header.kind == journal_format::Kind::opening && is_later(*next);
    }

    /// Returns whether a position was on the medium when some later record was made. If not, the
    /// bytes after damage are a write that a power loss left incomplete, and were never promised.
    /// Sealed bytes were flushed.
    bool is_proven(std::uint64_t place) {
        if (!is_last_) return true;
        // Searches everything after the first damage, so it also finds the evidence for later
        // positions.
        if (!proven_) proven_ = records_.proven_after(segment_.end, nonce_);
        return *proven_ > place;
    }

    /// Bytes behind a record are damage only if its run went on. A power loss may leave them behind
    /// the last record of a run: that record is whole, so the next run keeps it.
    void settle_padding(bool run_ended) {
        if (padding_ && !run_ended) damages_.push_back(*padding_);
        padding_.reset();
    }
    void look_at_padding(const FoundRecord& record) {
        const std::uint64_t from =
            record.offset + journal_format::record_header_bytes + record.header.length;
        const std::uint64_t to = record.end();
        for (const std::byte b : bytes_.view(from, static_cast<std::size_t>(to - from))) {
            if (b == std::byte{0}) continue;
            padding_ = {segment_.path, from, to - from,
                        "the bytes between two records are not zero"};
            return;
        }
    }

    /// Returns: false if a record was readable before, and is not now.
    template <class OnOperation>
    bool take(const FoundRecord& record, OnOperation& on_operation) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        run_ = run_of(record);
        report_.run = larger(report_.run, run_);
        const BytesView payload = bytes_.view(record.offset + record_header_bytes, h.length);
        if (payload.size() != h.length) return false;
        switch (h.kind) {
            case Kind::operation:
                if (is_due(record)) {
                    note_operation(h.number);
                    on_operation(h.number, payload);
                }
                return true;
            case Kind::opening:
                return true;
            case Kind::ack:
                report_.acked = larger(report_.acked, h.number);
                return true;
            case Kind::pin:
                std::memcpy(report_.store_pin.data(), payload.data(), report_.store_pin.size());
                return true;
            case Kind::note:
                report_.note.assign(payload.begin(), payload.end());
                return true;
            case Kind::seal:
                segment_.sealed = true;
                note_gap(outline_.last + 1, h.number);
                outline_.last = larger(outline_.last, h.number);
                return true;
            default:
                error_ = make_error_code(QueueErrc::other_version);
                return false;
        }
    }
    /// Returns whether an operation has a later number than those before it, in all files.
    bool is_due(const FoundRecord& record) {
        const std::uint64_t number = record.header.number;
        if (number < due_ || (number > due_ && due_ != 0 && is_in_a_row_)) {
            damages_.push_back({segment_.path, record.offset, record.end() - record.offset,
                                "the operation does not have the next number"});
        }
        is_in_a_row_ = true;
        if (number < due_) return false;
        due_ = number + 1;
        return !outline_.numbers_known || number > outline_.last;
    }
    void note_operation(std::uint64_t number) {
        if (outline_.numbers_known) note_gap(outline_.last + 1, number - 1);
        know_numbers(number);
        outline_.last = number;
        if (segment_.operations++ == 0) segment_.first = number;
        segment_.last = number;
    }

    void note_gap(std::uint64_t first, std::uint64_t last) {
        if (first <= last) report_.lost.push_back({first, last});
    }

    /// Classifies the bytes after the last record: nothing, the trace of a crash, or damage.
    void look_at_tail() {
        const std::uint64_t rest = bytes_.used() > segment_.end ? bytes_.used() - segment_.end : 0;
        if (is_last_ && !segment_.sealed) {
            report_.unfinished_bytes = rest + (torn_opening_ ? journal_format::record_bytes(4) : 0);
        } else if (!segment_.sealed) {
            damages_.push_back({segment_.path, segment_.end, rest,
                                "the end of the file and its seal are missing"});
        } else if (rest != 0) {
            damages_.push_back(
                {segment_.path, segment_.end, rest, "there are bytes after the seal"});
        }
    }

    FilePart<File>& bytes_;
    bool is_last_;
    tool::JournalReport& report_;
    tool::JournalReport::Segment& segment_;
    JournalOutline& outline_;
    std::vector<Damage>& damages_ = report_.damages;
    RecordSearch<FilePart<File>> records_;
    std::uint32_t nonce_ = 0;
    std::uint32_t run_ = 0;
    bool has_skipped_ = false;  // some bytes, which may have been openings
    bool last_is_opening_ = false;
    bool torn_opening_ = false;
    std::uint64_t due_ = 0;    // the number that the next operation must have; 0: unknown
    bool is_in_a_row_ = true;  // no record was lost since the last operation
    std::error_code error_;
    // Everything below was on the medium when some later record was made. For a file without a
    // seal.
    std::optional<std::uint64_t> proven_;
    std::optional<Damage> padding_;  // behind the last record
};

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
            fresh_ = fresh_segment(bytes.part, indices_.back());
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
        segment.bytes = bytes.bytes();
        if (index == behind_gap_) {
            const auto header = journal_format::decode_segment_header(
                bytes.part.view(0, journal_format::segment_header_bytes));
            row_begins_ = header ? header->first : ~std::uint64_t{0};
        }
        const bool is_last = i + (fresh_ ? 2U : 1U) >= indices_.size();
        if (is_last && found_.unfinished_roll && fresh_->journal == found_.journal) {
            found_.segments.push_back(std::move(segment));
            return {};
        }
        SegmentInspector inspector{bytes.part, is_last, found_, segment, outline_};
        const auto before = static_cast<std::ptrdiff_t>(found_.damages.size());
        const auto on_each = [this](std::uint64_t number, BytesView body) {
            found_.longest = larger(found_.longest, body.size());
            on_operation_(number, body);
        };
        inspector.run(on_each);
        if (inspector.error()) {
            return {inspector.error(), segment.path, 0,
                    words_of(bytes.part.view(0, journal_format::segment_header_bytes))};
        }
        if (const std::error_code error = bytes.error()) {
            found_.damages.insert(found_.damages.begin() + before,
                                  {segment.path, 0, 0, "cannot be read: " + error.message()});
        }
        found_.unfinished_roll = is_last && i + 1 != indices_.size() && !segment.sealed;
        // The next file is made before this one is sealed.
        if (segment.sealed && i + 1 == indices_.size()) {
            damage_file(index + 1, "the file is missing");
        }
        found_.segments.push_back(std::move(segment));
        return {};
    }

    /// Combines the results of all files.
    void conclude() {
        // A crash during the deletion of files may have left any of them.
        if (row_begins_ > found_.acked + 1) {
            found_.damages.insert(found_.damages.end(), missing_.begin(), missing_.end());
        }
        if (outline_.first > found_.acked + 1) {
            found_.lost.insert(found_.lost.begin(), {found_.acked + 1, outline_.first - 1});
            if (found_.damages.empty()) {
                damage_file(indices_.front() - 1, "the files before this one are missing");
            }
        }
        found_.operations = outline_.last > found_.acked ? outline_.last - found_.acked : 0;
        for (tool::JournalReport::Range& gap : found_.lost) {
            gap.first = larger(gap.first, found_.acked + 1);
            if (gap.first > gap.last || gap.last > outline_.last) continue;
            found_.operations -= gap.last - gap.first + 1;
        }
        std::erase_if(found_.lost, [](const auto& gap) { return gap.first > gap.last; });
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
            if (i != 0 && (now.where != rejection.where || now.offset != rejection.offset)) return;
            rejection = now;
        }
        std::string what = rejection.what.empty() ? rejection.code.message() : rejection.what;
        found_.damages.push_back({rejection.where, rejection.offset, 0, std::move(what)});
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

}  // namespace detail

namespace tool {

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
/// Memory: the longest operation, and a 128th of the longest file.
/// Complexity: O(bytes), reads everything a few times.
template <FileSystemLike FileSystem, class OnOperation>
[[nodiscard]] Result<JournalReport, JournalError> inspect_journal(FileSystem& fs,
                                                                  const std::string& path,
                                                                  OnOperation&& on_operation) {
    return detail::JournalInspector<FileSystem, OnOperation>{fs, path, on_operation}.run();
}

}  // namespace tool

}}  // namespace belay
