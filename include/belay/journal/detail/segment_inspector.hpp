// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_inspector.hpp
/// SegmentInspector: finds the records of a segment, also between and behind damage.
#pragma once

#include <cstring>   // std::memcpy
#include <optional>  // std::optional
#include <string>    // std::string
#include <vector>    // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/journal_outline.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/detail/segment_bytes.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Reads one segment from its bytes.
template <class File>
class SegmentInspector {
public:
    SegmentInspector(SegmentBytes<File>& bytes, std::uint64_t index, bool is_last,
                     JournalOutline& outline) noexcept
        : bytes_{bytes}, index_{index}, is_last_{is_last}, outline_{outline}, records_{bytes} {}

    template <class OnOperation>
    void run(OnOperation& on_operation) {
        using namespace journal_format;
        if (!read_header()) return;
        std::uint64_t at = smaller<std::uint64_t>(segment_header_bytes, bytes_.size());
        end_ = at;
        while (at < bytes_.size() && !sealed_) {
            std::optional<FoundRecord> record = records_.at(at);
            if (!record || !goes_on(*record, 0)) {
                if (records_.is_of_later_version(at, record_seed(nonce_, run_))) {
                    error_ = make_error_code(QueueErrc::future_version);
                    return;
                }
                // Openings with nothing between them are written to two places in turn.
                if (last_is_opening_ && is_older_opening(at)) {
                    at = end_ = at + record_bytes(4);
                    last_is_opening_ = false;
                    continue;
                }
                if (is_last_ && is_torn_opening(at)) {
                    torn_opening_ = true;
                    at += record_bytes(4);
                    continue;
                }
                record = records_.behind({at, next_number()}, [&](const FoundRecord& found) {
                    return goes_on(found, found.offset - at);
                });
                if (!record || (is_last_ && !is_vouched_for(at))) break;
                damages_.push_back({at, record->offset - at, "these bytes are no record"});
            }
            const bool follows = record->offset == at;
            look_at_padding(*record);
            number_is_known_ = number_is_known_ && follows;
            if (!take(*record, on_operation)) break;
            at = end_ = record->end();
            last_is_opening_ = record->header.kind == Kind::opening;
            // The one before it, which is damaged, may be that of the next run.
            runs_ahead_ = last_is_opening_ && !follows ? 1 : 0;
        }
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
            return find_seed();
        }
        if (outline_.id_known && header->journal != outline_.journal) {
            damages_.push_back({0, bytes_.size(), "a file of another journal"});
            return false;
        }
        if (header->segment_bytes > bytes_.size()) {
            damages_.push_back(
                {bytes_.size(), header->segment_bytes - bytes_.size(), "the file was cut short"});
        }
        nonce_ = header->nonce;
        run_ = header->run;
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

    /// Without its header a file says by itself what its records are seeded with: two that follow
    /// one another, and need the same seed.
    bool find_seed() {
        using namespace journal_format;
        for (std::uint64_t at = bytes_.candidate_from(0); at < bytes_.used();
             at = bytes_.candidate_from(at + alignment)) {
            const std::optional<FoundRecord> found = records_.at(at);
            if (!found) continue;
            const std::optional<FoundRecord> next = records_.at(found->end());
            if (next && next->seed == found->seed) {
                nonce_ = found->seed;  // as if it were of run 0
                run_ = 0;
                seed_is_found_ = true;
                return true;
            }
        }
        return false;
    }

    /// Whether a record is of the run that goes on, or opens a later one; or is of one of the next
    /// runs, as many as could begin in the `skipped` bytes before it, or as the record behind it
    /// says, too.
    bool goes_on(const FoundRecord& found, std::uint64_t skipped) {
        using namespace journal_format;
        const std::uint32_t run = run_of(found);
        if (run < run_ || run - run_ > runs_in_a_row_max) return false;
        const std::uint64_t later = larger<std::uint64_t>(skipped / record_bytes(4), runs_ahead_);
        const bool opens =
            found.header.kind == Kind::opening &&
            (found.header.number == run || (seed_is_found_ && run - run_ <= later + 1000));
        if (opens || run - run_ <= later) return true;
        if (skipped == 0) return false;
        const std::optional<FoundRecord> next = records_.at(found.end());
        return next && next->seed == found.seed;
    }
    std::uint32_t run_of(const FoundRecord& found) const noexcept { return found.seed - nonce_; }
    /// The number of the operation that must come next; 0: nobody knows.
    std::uint64_t next_number() const noexcept {
        return outline_.numbers_known ? outline_.last + 1 : 0;
    }

    bool is_older_opening(std::uint64_t at) {
        using namespace journal_format;
        const std::optional<FoundRecord> found = records_.at(at);
        if (!found || found->header.kind != Kind::opening || found->header.length != 4)
            return false;
        const std::uint32_t run = run_of(*found);
        return run_ - run <= runs_in_a_row_max && (found->header.number == run || seed_is_found_);
    }
    /// Whether an opening was being written there, in front of the last one, when the power failed.
    bool is_torn_opening(std::uint64_t at) {
        using namespace journal_format;
        if (bytes_.used() > at + 2 * record_bytes(4)) return false;
        const std::optional<FoundRecord> next = records_.at(at + record_bytes(4));
        return next && next->header.kind == Kind::opening && run_of(*next) != run_ &&
               goes_on(*next, 0);
    }

    /// Whether a record behind `at` was made when that place was on the medium already. If none
    /// was, what follows is a write that a power loss has left in pieces, and was never promised.
    bool is_vouched_for(std::uint64_t at) {
        using namespace journal_format;
        // All behind it is looked at once: what vouches for a later place is behind this one, too.
        if (!vouched_is_known_) {
            // Of many openings in a row two are left, and the one before may be damaged.
            std::uint64_t opened = run_;
            for (std::uint64_t i = bytes_.candidate_from(at); i < bytes_.used();
                 i = bytes_.candidate_from(i + alignment)) {
                const std::optional<FoundRecord> found = records_.at(i);
                if (!found) continue;
                const std::uint32_t run = run_of(*found);
                const bool is_known = run >= run_ && run <= opened;
                if (!is_known && !goes_on(*found, i - at)) continue;
                vouched_ = larger(vouched_, std::uint64_t{found->header.durable});
                const RecordHeader& h = found->header;
                if (h.kind == Kind::opening && h.number == run) {
                    opened = larger(opened, std::uint64_t{run} + 1);
                }
            }
            vouched_is_known_ = true;
        }
        return vouched_ > at;
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
    template <class OnOperation>
    bool take(const FoundRecord& record, OnOperation& on_operation) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        const BytesView payload = bytes_.view(record.offset + record_header_bytes, h.length);
        if (payload.size() != h.length) return false;
        run_ = run_of(record);
        if (!seed_is_found_) outline_.run = run_;
        switch (h.kind) {
            case Kind::operation: {
                const bool comes_again = outline_.numbers_known && h.number <= outline_.last;
                const bool is_due = next_number() == 0 || h.number == next_number();
                if (comes_again || (number_is_known_ && !is_due)) {
                    damages_.push_back({record.offset, record.end() - record.offset,
                                        "an operation that is not the next one"});
                }
                if (comes_again) break;
                number_is_known_ = true;
                if (outline_.numbers_known) note_gap(outline_.last + 1, h.number - 1);
                know_numbers(h.number);
                outline_.last = h.number;
                if (operations_++ == 0) first_ = h.number;
                last_ = h.number;
                on_operation(h.number, payload);
                break;
            }
            case Kind::ack: {
                outline_.acked = larger(outline_.acked, h.number);
                break;
            }
            case Kind::pin: {
                if (h.length == outline_.pin.size()) {
                    std::memcpy(outline_.pin.data(), payload.data(), outline_.pin.size());
                }
                break;
            }
            case Kind::note: {
                outline_.note.assign(payload.begin(), payload.end());
                break;
            }
            case Kind::seal: {
                sealed_ = true;
                note_gap(outline_.last + 1, h.number);
                outline_.last = larger(outline_.last, h.number);
                break;
            }
            default:
                break;
        }
        return true;
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
    RecordSearch<SegmentBytes<File>> records_;
    std::uint32_t nonce_ = 0;
    std::uint32_t run_ = 0;
    bool seed_is_found_ = false;
    bool sealed_ = false;
    std::uint64_t runs_ahead_ = 0;  // that may go on without an opening that can be read
    bool last_is_opening_ = false;
    bool number_is_known_ = true;  // of the next operation: none was lost since the last one
    bool torn_opening_ = false;
    std::error_code error_;
    std::uint64_t end_ = 0;
    std::uint64_t operations_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;
    std::uint64_t unfinished_ = 0;
    std::uint64_t vouched_ = 0;  // all below was on the medium when some later record was made
    bool vouched_is_known_ = false;
    std::vector<DamagedPart> damages_;
};

}  // namespace belay::inline BELAY_ABI::detail
