// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_inspector.hpp
/// SegmentInspector: finds the records of a segment, also between and after damage.
#pragma once

#include <algorithm>  // std::sort
#include <cstring>    // std::memcpy
#include <optional>   // std::optional
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/journal_outline.hpp>
#include <belay/journal/detail/record_evidence.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/detail/seed_search.hpp>
#include <belay/journal/detail/segment_bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Reads one segment from its bytes.
template <class File>
class SegmentInspector {
public:
    SegmentInspector(SegmentBytes<File>& bytes, std::uint64_t index, bool is_last,
                     JournalOutline& outline) noexcept
        : bytes_{bytes}, index_{index}, is_last_{is_last}, outline_{outline}, records_{bytes} {}

    template <class OnOperation>
    void run(OnOperation& on_operation) {
        if (!read_header()) return;
        collect();
        if (error_) return;
        show(on_operation);
        look_at_tail();
    }

    /// Returns why the file cannot be read as a segment at all: it has another version.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
    [[nodiscard]] std::uint64_t first() const noexcept { return first_; }
    [[nodiscard]] std::uint64_t last() const noexcept { return last_; }
    [[nodiscard]] bool sealed() const noexcept { return sealed_; }
    [[nodiscard]] std::uint64_t unfinished_bytes() const noexcept { return unfinished_; }
    [[nodiscard]] const std::vector<DamagedPart>& damages() const noexcept { return damages_; }

private:
    /// Consecutive operations.
    struct NumberSpan {
        std::uint64_t offset;  // of the record of the first
        std::uint64_t first;
        std::uint64_t last;
    };

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
            damages_.push_back({8, 4, "the version field was changed after it was written"});
        }
        if (!header || header->index != index_) {
            damages_.push_back({0, smaller<std::uint64_t>(segment_header_bytes, bytes_.size()),
                                header ? "the file has the header of another file"
                                       : "the file has no segment header"});
            return find_runs_without_header();
        }
        if (outline_.id_known && header->journal != outline_.journal) {
            damages_.push_back({0, bytes_.size(), "the file belongs to another journal"});
            return false;
        }
        if (header->segment_bytes > bytes_.size()) {
            damages_.push_back(
                {bytes_.size(), header->segment_bytes - bytes_.size(), "the file was cut short"});
        }
        evidence_ = RecordEvidence{records_, header->nonce};
        evidence_.add_run(header->run);
        evidence_.add_number(header->first - 1, segment_header_bytes);
        run_ = header->run;
        due_ = header->first;
        // The operations between this segment and the readable part of the one before it.
        if (outline_.numbers_known) note_gap(outline_.last + 1, header->first - 1);
        know_numbers(header->first);
        outline_.id_known = true;
        outline_.journal = header->journal;
        outline_.pin = header->pin;
        outline_.run = run_;
        outline_.acked = larger(outline_.acked, header->acked);
        outline_.last = larger(outline_.last, header->first - 1);
        if (header->made_bytes == segment_header_bytes) outline_.note.clear();
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

    bool find_runs_without_header() {
        std::optional<RecordEvidence<FilePart<File>>> found = find_runs(records_, run_is_counted_);
        if (!found) return false;
        evidence_ = std::move(*found);
        run_ = evidence_.first_run();
        if (outline_.numbers_known) due_ = outline_.last + 1;
        is_in_a_row_ = false;
        return true;
    }

    /// Finds all records. It notes stretches of consecutive operations. A later operation may have
    /// been copied over an earlier one; the operations after it are still reported in order.
    void collect() {
        using namespace journal_format;
        std::uint64_t at = end_ = smaller<std::uint64_t>(segment_header_bytes, bytes_.size());
        while (at < bytes_.size() && !sealed_) {
            std::optional<FoundRecord> record = records_.at(at);
            if (!record || !goes_on(*record)) {
                if (records_.is_of_later_version(at, record_seed(evidence_.nonce(), run_))) {
                    error_ = make_error_code(QueueErrc::other_version);
                    return;
                }
                if (passes_opening(at)) continue;
                // A complete record at a wrong position is not the trace of a crash.
                const bool is_whole = record && evidence_.run_of(*record) == run_;
                if (record && is_of_another_run(*record)) {
                    damages_.push_back(
                        {at, record->end() - at, "the record belongs to another run"});
                } else {
                    record = next_behind(at);
                    if (!record || !(is_whole || is_proven(at))) return;
                    settle_padding(false);
                    damages_.push_back({at, record->offset - at, "these bytes are not a record"});
                }
            }
            const bool follows = record->offset == at;
            settle_padding(record->header.kind == Kind::opening);
            look_at_padding(*record);
            is_in_a_row_ = is_in_a_row_ && follows;
            if (is_seal_before_records(*record)) {
                damages_.push_back({record->offset, record->end() - record->offset,
                                    "the seal is not at the end of the file"});
                at = end_ = record->end();
                continue;
            }
            if (!take(*record)) return;
            at = end_ = record->end();
            last_is_opening_ = record->header.kind == Kind::opening;
            // The opening before it, which is damaged, may be that of the next run.
            runs_ahead_ = last_is_opening_ && !follows ? 1 : 0;
        }
    }

    std::optional<FoundRecord> next_behind(std::uint64_t at) {
        return records_.behind({at, due_}, [&](const FoundRecord& found) {
            return evidence_.accepts(found, found.offset - at) &&
                   (evidence_.run_of(found) >= run_ || is_proven(found.offset));
        });
    }
    /// Returns whether a seal was copied over earlier records, so that others follow it.
    bool is_seal_before_records(const FoundRecord& found) {
        return found.header.kind == journal_format::Kind::seal && bytes_.used() > found.end() &&
               next_behind(found.end());
    }
    /// Returns whether a record belongs to the current run, or opens a later one, and is possible
    /// here.
    bool goes_on(const FoundRecord& found) {
        using journal_format::Kind;
        if (found.header.kind == Kind::opening) return opens_later_run(found);
        const std::uint32_t run = evidence_.run_of(found);
        if (run != run_ && (run < run_ || run - run_ > runs_ahead_)) return false;
        return evidence_.has_possible_number(found) ||
               (found.header.kind == Kind::operation && evidence_.is_confirmed(found));
    }
    bool opens_later_run(const FoundRecord& found) const noexcept {
        const std::uint32_t run = evidence_.run_of(found);
        return found.header.kind == journal_format::Kind::opening && run > run_ &&
               run - run_ <= journal_format::runs_in_a_row_max && is_opening_of(found, run);
    }
    bool is_opening_of(const FoundRecord& found, std::uint32_t run) const noexcept {
        return found.header.kind == journal_format::Kind::opening &&
               (found.header.number == run || !run_is_counted_);
    }
    /// Returns whether a record continues after a copied opening. A record that is not known to
    /// have been on the medium may be older: the end of a write that a crash left incomplete.
    bool is_of_another_run(const FoundRecord& found) {
        return evidence_.run_of(found) != run_ && is_proven(found.offset) &&
               evidence_.accepts(found, 0) && evidence_.is_confirmed(found);
    }

    /// Skips an opening: openings with nothing between them are written to two positions in turn.
    bool passes_opening(std::uint64_t& at) {
        using namespace journal_format;
        const std::uint64_t behind = at + record_bytes(opening_payload_bytes);
        if (last_is_opening_ && is_older_opening(at)) {
            at = end_ = behind;
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
        if (!found) return false;
        const std::uint32_t run = evidence_.run_of(*found);
        return run_ - run <= journal_format::runs_in_a_row_max && is_opening_of(*found, run);
    }
    /// Returns whether the power failed while an opening was written there, before the last
    /// opening.
    bool is_torn_opening(std::uint64_t at) {
        using namespace journal_format;
        const std::uint64_t behind = at + record_bytes(opening_payload_bytes);
        if (bytes_.used() > behind + record_bytes(opening_payload_bytes)) return false;
        const std::optional<FoundRecord> next = records_.at(behind);
        return next && opens_later_run(*next);
    }

    /// Returns whether a position was on the medium when some later record was made. If not, the
    /// bytes after damage are a write that a power loss left incomplete, and were never promised.
    /// Sealed bytes were flushed.
    bool is_proven(std::uint64_t place) {
        if (!is_last_) return true;
        // Searches everything after the first damage, so it also finds the evidence for later
        // positions.
        if (!proven_) proven_ = proven_after(records_, evidence_, end_);
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
            padding_ = {from, to - from, "the bytes between two records are not zero"};
            return;
        }
    }

    /// Returns: false if a record was readable before, and is not now.
    bool take(const FoundRecord& record) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        run_ = evidence_.run_of(record);
        evidence_.add_run(run_);
        if (run_is_counted_) outline_.run = larger(outline_.run, run_);
        switch (h.kind) {
            case Kind::operation:
                take_operation(record);
                return true;
            case Kind::ack:
                outline_.acked = larger(outline_.acked, h.number);
                return true;
            case Kind::seal:
                sealed_ = true;
                seal_number_ = h.number;
                return true;
            case Kind::pin: {
                const BytesView payload = payload_of(record);
                if (payload.size() != outline_.pin.size()) return false;
                std::memcpy(outline_.pin.data(), payload.data(), outline_.pin.size());
                return true;
            }
            case Kind::note: {
                const BytesView payload = payload_of(record);
                outline_.note.assign(payload.begin(), payload.end());
                return payload.size() == h.length;
            }
            default:
                return true;
        }
    }
    void take_operation(const FoundRecord& record) {
        const std::uint64_t number = record.header.number;
        const bool is_next = number == due_ || due_ == 0;
        if (!is_next && (is_in_a_row_ || number < due_)) {
            damages_.push_back({record.offset, record.end() - record.offset,
                                "the operation does not have the next number"});
        }
        if (is_in_a_row_ && is_next && !spans_.empty()) {
            spans_.back().last = number;
        } else {
            spans_.push_back({record.offset, number, number});
        }
        is_in_a_row_ = true;
        due_ = number + 1;
        evidence_.add_number(number, record.end());
    }
    BytesView payload_of(const FoundRecord& record) {
        return bytes_.view(record.offset + journal_format::record_header_bytes,
                           record.header.length);
    }

    /// Reports each operation, in the order of their numbers.
    template <class OnOperation>
    void show(OnOperation& on_operation) {
        using namespace journal_format;
        std::sort(spans_.begin(), spans_.end(),
                  [](const NumberSpan& a, const NumberSpan& b) { return a.first < b.first; });
        for (const NumberSpan& span : spans_) {
            std::uint64_t at = span.offset;
            for (std::uint64_t number = span.first; number <= span.last;) {
                const BytesView bytes = bytes_.view(at, record_header_bytes);
                if (bytes.size() < record_header_bytes) return;
                const RecordHeader h = decode_record_header(bytes.data());
                if (h.kind == Kind::operation && number++ > shown_up_to()) {
                    const BytesView body = bytes_.view(at + record_header_bytes, h.length);
                    if (h.number + 1 != number || body.size() != h.length) return;
                    note_operation(h.number);
                    on_operation(h.number, body);
                }
                at += record_bytes(h.length);
            }
        }
        if (!sealed_) return;
        note_gap(outline_.last + 1, seal_number_);
        outline_.last = larger(outline_.last, seal_number_);
    }
    std::uint64_t shown_up_to() const noexcept {
        return outline_.numbers_known ? outline_.last : 0;
    }
    void note_operation(std::uint64_t number) {
        if (outline_.numbers_known) note_gap(outline_.last + 1, number - 1);
        know_numbers(number);
        outline_.last = number;
        if (operations_++ == 0) first_ = number;
        last_ = number;
    }

    void note_gap(std::uint64_t first, std::uint64_t last) {
        if (first <= last) outline_.gaps.push_back({first, last});
    }

    /// Classifies the bytes after the last record: nothing, the trace of a crash, or damage.
    void look_at_tail() {
        const std::uint64_t rest = bytes_.used() > end_ ? bytes_.used() - end_ : 0;
        if (is_last_ && !sealed_) {
            unfinished_ = rest + (torn_opening_ ? journal_format::record_bytes(4) : 0);
        } else if (!sealed_) {
            damages_.push_back({end_, rest, "the end of the file and its seal are missing"});
        } else if (rest != 0) {
            damages_.push_back({end_, rest, "there are bytes after the seal"});
        }
    }

    SegmentBytes<File>& bytes_;
    std::uint64_t index_;
    bool is_last_;
    JournalOutline& outline_;
    RecordSearch<FilePart<File>> records_;
    RecordEvidence<FilePart<File>> evidence_{records_, 0};
    std::uint32_t run_ = 0;
    bool run_is_counted_ = true;  // else openings have other numbers than runs here
    bool sealed_ = false;
    std::uint64_t seal_number_ = 0;
    std::uint64_t runs_ahead_ = 0;  // runs that may continue although their openings are unreadable
    bool last_is_opening_ = false;
    bool torn_opening_ = false;
    std::uint64_t due_ = 0;    // the number that the next operation must have; 0: unknown
    bool is_in_a_row_ = true;  // no record was lost since the last operation
    std::vector<NumberSpan> spans_;
    std::error_code error_;
    std::uint64_t end_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;
    std::uint64_t unfinished_ = 0;
    // Everything below was on the medium when some later record was made. For a file without a
    // seal.
    std::optional<std::uint64_t> proven_;
    std::vector<DamagedPart> damages_;
    std::optional<DamagedPart> padding_;  // behind the last record
};

}}}  // namespace belay::detail
