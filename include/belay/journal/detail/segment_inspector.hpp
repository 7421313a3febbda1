// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_inspector.hpp
/// SegmentInspector: finds the records of a segment, also between and behind damage.
#pragma once

#include <algorithm>  // std::sort
#include <cstring>    // std::memcpy
#include <optional>   // std::optional
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/journal_outline.hpp>
#include <belay/journal/detail/record_belief.hpp>
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

    /// Why the file cannot be read as a segment at all: it is of a later version.
    [[nodiscard]] std::error_code error() const noexcept { return error_; }
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
    [[nodiscard]] std::uint64_t first() const noexcept { return first_; }
    [[nodiscard]] std::uint64_t last() const noexcept { return last_; }
    [[nodiscard]] bool sealed() const noexcept { return sealed_; }
    [[nodiscard]] std::uint64_t unfinished_bytes() const noexcept { return unfinished_; }
    [[nodiscard]] const std::vector<DamagedPart>& damages() const noexcept { return damages_; }

private:
    /// Operations that follow one another.
    struct Stretch {
        std::uint64_t offset;  // of the record of the first
        std::uint64_t first;
        std::uint64_t last;
    };

    /// False if nothing of the file can be used.
    bool read_header() {
        using namespace journal_format;
        Result<SegmentHeader> header = decode_segment_header(head());
        if (!header && header.error() == QueueErrc::future_version) {
            header = with_this_version();
            if (!header) {
                error_ = make_error_code(QueueErrc::future_version);
                return false;
            }
            damages_.push_back({8, 4, "the version is not what was written"});
        }
        if (!header || header->index != index_) {
            damages_.push_back({0, smaller<std::uint64_t>(segment_header_bytes, bytes_.size()),
                                header ? "the header of another file" : "no header of a segment"});
            return find_runs_without_header();
        }
        if (outline_.id_known && header->journal != outline_.journal) {
            damages_.push_back({0, bytes_.size(), "a file of another journal"});
            return false;
        }
        if (header->segment_bytes > bytes_.size()) {
            damages_.push_back(
                {bytes_.size(), header->segment_bytes - bytes_.size(), "the file was cut short"});
        }
        belief_ = RecordBelief{records_, header->nonce};
        belief_.add_run(header->run);
        belief_.add_number(header->first - 1, segment_header_bytes);
        run_ = header->run;
        due_ = header->first;
        // What lies between the segment before, as far as it can be read, and this one.
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

    /// The header as if its version were this one's: of a later version it would have another
    /// checksum.
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
        std::optional<RecordBelief<FilePart<File>>> found = find_runs(records_, run_is_counted_);
        if (!found) return false;
        belief_ = std::move(*found);
        run_ = belief_.first_run();
        if (outline_.numbers_known) due_ = outline_.last + 1;
        is_in_a_row_ = false;
        return true;
    }

    /// Finds all records. Of operations it notes the stretches that follow one another: where a
    /// later one was copied over an earlier, what follows is told in order all the same.
    void collect() {
        using namespace journal_format;
        std::uint64_t at = end_ = smaller<std::uint64_t>(segment_header_bytes, bytes_.size());
        while (at < bytes_.size() && !sealed_) {
            std::optional<FoundRecord> record = records_.at(at);
            if (!record || !goes_on(*record)) {
                if (records_.is_of_later_version(at, record_seed(belief_.nonce(), run_))) {
                    error_ = make_error_code(QueueErrc::future_version);
                    return;
                }
                if (passes_opening(at)) continue;
                // A whole record in a wrong place is no trace of a crash.
                const bool is_whole = record && belief_.run_of(*record) == run_;
                if (record && is_of_another_run(*record)) {
                    damages_.push_back({at, record->end() - at, "a record of another run"});
                } else {
                    record = records_.behind({at, due_}, [&](const FoundRecord& found) {
                        return belief_.believes(found, found.offset - at) &&
                               (belief_.run_of(found) >= run_ || is_vouched_for(found.offset));
                    });
                    if (!record || !(is_whole || is_vouched_for(at))) return;
                    damages_.push_back({at, record->offset - at, "these bytes are no record"});
                }
            }
            const bool follows = record->offset == at;
            look_at_padding(*record);
            is_in_a_row_ = is_in_a_row_ && follows;
            if (!take(*record)) return;
            at = end_ = record->end();
            last_is_opening_ = record->header.kind == Kind::opening;
            // The one before it, which is damaged, may be that of the next run.
            runs_ahead_ = last_is_opening_ && !follows ? 1 : 0;
        }
    }

    /// Whether a record is of the run that goes on, or opens a later one, and can be here.
    bool goes_on(const FoundRecord& found) {
        using journal_format::Kind;
        if (found.header.kind == Kind::opening) return opens_later_run(found);
        const std::uint32_t run = belief_.run_of(found);
        if (run != run_ && (run < run_ || run - run_ > runs_ahead_)) return false;
        return belief_.has_possible_number(found) ||
               (found.header.kind == Kind::operation && belief_.is_confirmed(found));
    }
    bool opens_later_run(const FoundRecord& found) const noexcept {
        const std::uint32_t run = belief_.run_of(found);
        return found.header.kind == journal_format::Kind::opening && run > run_ &&
               run - run_ <= journal_format::runs_in_a_row_max && is_opening_of(found, run);
    }
    bool is_opening_of(const FoundRecord& found, std::uint32_t run) const noexcept {
        return found.header.kind == journal_format::Kind::opening &&
               (found.header.number == run || !run_is_counted_);
    }
    /// Whether a record goes on where an opening was copied to. What is not known to have been on
    /// the medium may be older: the end of a write that a crash left in pieces.
    bool is_of_another_run(const FoundRecord& found) {
        return belief_.run_of(found) != run_ && is_vouched_for(found.offset) &&
               belief_.believes(found, 0) && belief_.is_confirmed(found);
    }

    /// Openings with nothing between them are written to two places in turn.
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
        const std::uint32_t run = belief_.run_of(*found);
        return run_ - run <= journal_format::runs_in_a_row_max && is_opening_of(*found, run);
    }
    /// Whether an opening was being written there, in front of the last one, when the power failed.
    bool is_torn_opening(std::uint64_t at) {
        using namespace journal_format;
        const std::uint64_t behind = at + record_bytes(opening_payload_bytes);
        if (bytes_.used() > behind + record_bytes(opening_payload_bytes)) return false;
        const std::optional<FoundRecord> next = records_.at(behind);
        return next && opens_later_run(*next);
    }

    /// Whether a place was on the medium when some later record was made. If not, what follows
    /// damage is a write that a power loss has left in pieces, and was never promised. What is
    /// sealed was flushed.
    bool is_vouched_for(std::uint64_t place) {
        if (!is_last_) return true;
        // All behind the first damage is looked at: what vouches for a later place is there, too.
        if (!vouched_) vouched_ = vouched_behind(records_, belief_, end_);
        return *vouched_ > place;
    }

    void look_at_padding(const FoundRecord& record) {
        const std::uint64_t from =
            record.offset + journal_format::record_header_bytes + record.header.length;
        const std::uint64_t to = record.end();
        for (const std::byte b : bytes_.view(from, static_cast<std::size_t>(to - from))) {
            if (b == std::byte{0}) continue;
            damages_.push_back({from, to - from, "not zero between two records"});
            return;
        }
    }

    /// Returns: false if it could be read before, and not now.
    bool take(const FoundRecord& record) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        run_ = belief_.run_of(record);
        belief_.add_run(run_);
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
                                "an operation that is not the next one"});
        }
        if (is_in_a_row_ && is_next && !stretches_.empty()) {
            stretches_.back().last = number;
        } else {
            stretches_.push_back({record.offset, number, number});
        }
        is_in_a_row_ = true;
        due_ = number + 1;
        belief_.add_number(number, record.end());
    }
    BytesView payload_of(const FoundRecord& record) {
        return bytes_.view(record.offset + journal_format::record_header_bytes,
                           record.header.length);
    }

    /// Tells each operation, in the order of their numbers.
    template <class OnOperation>
    void show(OnOperation& on_operation) {
        using namespace journal_format;
        std::sort(stretches_.begin(), stretches_.end(),
                  [](const Stretch& a, const Stretch& b) { return a.first < b.first; });
        for (const Stretch& stretch : stretches_) {
            std::uint64_t at = stretch.offset;
            for (std::uint64_t number = stretch.first; number <= stretch.last;) {
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

    /// What is behind the last record: nothing, the trace of a crash, or damage.
    void look_at_tail() {
        const std::uint64_t rest = bytes_.used() > end_ ? bytes_.used() - end_ : 0;
        if (is_last_ && !sealed_) {
            unfinished_ = rest + (torn_opening_ ? journal_format::record_bytes(4) : 0);
        } else if (!sealed_) {
            damages_.push_back({end_, rest, "its end, and the seal, are missing"});
        } else if (rest != 0) {
            damages_.push_back({end_, rest, "something follows the seal"});
        }
    }

    SegmentBytes<File>& bytes_;
    std::uint64_t index_;
    bool is_last_;
    JournalOutline& outline_;
    RecordSearch<FilePart<File>> records_;
    RecordBelief<FilePart<File>> belief_{records_, 0};
    std::uint32_t run_ = 0;
    bool run_is_counted_ = true;  // else it is not the number that openings have
    bool sealed_ = false;
    std::uint64_t seal_number_ = 0;
    std::uint64_t runs_ahead_ = 0;  // that may go on without an opening that can be read
    bool last_is_opening_ = false;
    bool torn_opening_ = false;
    std::uint64_t due_ = 0;    // the number that the next operation must have; 0: nobody knows
    bool is_in_a_row_ = true;  // no record was lost since the last operation
    std::vector<Stretch> stretches_;
    std::error_code error_;
    std::uint64_t end_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;
    std::uint64_t unfinished_ = 0;
    // All below was on the medium when some later record was made; of a file without a seal.
    std::optional<std::uint64_t> vouched_;
    std::vector<DamagedPart> damages_;
};

}}}  // namespace belay::detail
