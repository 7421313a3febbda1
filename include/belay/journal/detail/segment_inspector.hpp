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
#include <belay/journal/detail/segment_bytes.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Reads one segment from its bytes.
template <class File>
class SegmentInspector {
public:
    SegmentInspector(SegmentBytes<File>& bytes, std::uint64_t index, bool is_last,
                     JournalOutline& outline) noexcept
        : bytes_{bytes}, index_{index}, is_last_{is_last}, outline_{outline} {}

    template <class OnOperation>
    void run(OnOperation& on_operation) {
        using namespace journal_format;
        if (!read_header()) return;
        std::uint64_t at = smaller<std::uint64_t>(segment_header_bytes, bytes_.size());
        end_ = at;
        Skipped skipped{0};
        while (at < bytes_.size() && !sealed_) {
            const std::optional<Record> record = record_at(at, skipped);
            if (!record && is_of_later_version(at)) {
                error_ = make_error_code(QueueErrc::future_version);
                return;
            }
            if (record) {
                look_at_padding(at, *record);
                take(at, *record, on_operation);
                at += record_bytes(record->header.length);
                end_ = at;
                last_is_opening_ = record->header.kind == Kind::opening;
                // The one before it, which is damaged, may be that of the next run.
                runs_ahead_ = last_is_opening_ && skipped.bytes != 0 ? 1 : 0;
                skipped.bytes = 0;
                continue;
            }
            // Openings with nothing between them are written to two places in turn.
            if (last_is_opening_ && is_older_opening(at)) {
                at += record_bytes(4);
                end_ = at;
                last_is_opening_ = false;
                continue;
            }
            if (is_last_ && is_torn_opening(at)) {
                torn_opening_ = true;
                at += record_bytes(4);
                continue;
            }
            const std::uint64_t next = next_record(at);
            if (next == bytes_.size() || (is_last_ && !is_vouched_for(at))) break;
            damages_.push_back({at, next - at, "these bytes are no record"});
            skipped.bytes = next - at;
            at = next;
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
    struct Record {
        journal_format::RecordHeader header;
        std::uint32_t run;
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
            const std::optional<std::uint32_t> seed = seed_at(at);
            if (!seed) continue;
            const RecordHeader h = bytes_.header(at);
            const std::optional<std::uint32_t> next = seed_at(at + record_bytes(h.length));
            if (next == seed) {
                nonce_ = *seed;  // as if it were of run 0
                run_ = 0;
                seed_is_found_ = true;
                return true;
            }
        }
        return false;
    }

    /// The seed under which there is a record at `at`, if it has the shape of one.
    std::optional<std::uint32_t> seed_at(std::uint64_t at) {
        using namespace journal_format;
        const RecordHeader h = bytes_.header(at);
        if (h.kind == Kind::none || h.kind > Kind::note || h.flags != 0 || h.key_length != 0 ||
            h.durable > at) {
            return std::nullopt;
        }
        return bytes_.seed(at, h);
    }

    // Bytes that were passed over.
    struct Skipped {
        std::uint64_t bytes;
    };

    /// The record at `at`, if it is one of the run that goes on, or opens a later one; or if it is
    /// of one of the next runs, as many as could begin in what was skipped before it, or as the
    /// record behind it says, too.
    std::optional<Record> record_at(std::uint64_t at, Skipped skipped) {
        using namespace journal_format;
        const std::optional<std::uint32_t> seed = seed_at(at);
        if (!seed) return std::nullopt;
        const RecordHeader h = bytes_.header(at);
        const std::uint32_t run = *seed - nonce_;
        if (run < run_ || run - run_ > runs_in_a_row_max) return std::nullopt;
        const std::uint64_t later =
            larger<std::uint64_t>(skipped.bytes / record_bytes(4), runs_ahead_);
        const bool opens = h.kind == Kind::opening &&
                           (h.number == run || (seed_is_found_ && run - run_ <= later + 1000));
        if (!opens && run - run_ > later &&
            (skipped.bytes == 0 || seed_at(at + record_bytes(h.length)) != seed)) {
            return std::nullopt;
        }
        return Record{h, run};
    }

    bool is_older_opening(std::uint64_t at) {
        using namespace journal_format;
        const std::optional<std::uint32_t> seed = seed_at(at);
        if (!seed) return false;
        const RecordHeader h = bytes_.header(at);
        const std::uint32_t run = *seed - nonce_;
        return h.kind == Kind::opening && h.length == 4 && run_ - run <= runs_in_a_row_max &&
               (h.number == run || seed_is_found_);
    }
    /// Whether an opening was being written there, in front of the last one, when the power failed.
    bool is_torn_opening(std::uint64_t at) {
        using namespace journal_format;
        if (bytes_.used() > at + 2 * record_bytes(4)) return false;
        const std::optional<Record> next = record_at(at + record_bytes(4), Skipped{0});
        return next && next->header.kind == Kind::opening && next->run != run_;
    }

    std::uint64_t next_record(std::uint64_t from) {
        using namespace journal_format;
        for (std::uint64_t at = bytes_.candidate_from(from + alignment); at < bytes_.used();
             at = bytes_.candidate_from(at + alignment)) {
            if (record_at(at, Skipped{at - from})) return at;
        }
        return bytes_.size();
    }

    /// Whether a record behind `at` was made when that place was on the medium already. If none
    /// was, what follows is a write that a power loss has left in pieces, and was never promised.
    bool is_vouched_for(std::uint64_t at) {
        using namespace journal_format;
        // All behind it is looked at once: what vouches for a later place is behind this one, too.
        if (!vouched_is_known_) {
            for (std::uint64_t i = bytes_.candidate_from(at); i < bytes_.used();
                 i = bytes_.candidate_from(i + alignment)) {
                const std::optional<Record> record = record_at(i, Skipped{i - at});
                if (record) vouched_ = larger(vouched_, std::uint64_t{record->header.durable});
            }
            vouched_is_known_ = true;
        }
        return vouched_ > at;
    }

    /// Whether a record that goes on is whole, and of a kind or form that is not known here.
    bool is_of_later_version(std::uint64_t at) {
        const journal_format::RecordHeader h = bytes_.header(at);
        return h.kind != journal_format::Kind::none && bytes_.seed(at, h) == nonce_ + run_;
    }

    void look_at_padding(std::uint64_t at, const Record& record) {
        using namespace journal_format;
        const std::uint64_t from = at + record_header_bytes + record.header.length;
        const std::uint64_t to = at + record_bytes(record.header.length);
        for (const std::byte b : bytes_.view(from, static_cast<std::size_t>(to - from))) {
            if (b == std::byte{0}) continue;
            damages_.push_back({from, to - from, "not zero between two records"});
            return;
        }
    }

    template <class OnOperation>
    void take(std::uint64_t at, const Record& record, OnOperation& on_operation) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        const BytesView payload = bytes_.view(at + record_header_bytes, h.length);
        if (payload.size() != h.length) return;  // read before, and not now
        run_ = record.run;
        if (!seed_is_found_) outline_.run = run_;
        switch (h.kind) {
            case Kind::operation: {
                if (outline_.numbers_known && h.number <= outline_.last) break;
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
    std::uint32_t nonce_ = 0;
    std::uint32_t run_ = 0;
    bool seed_is_found_ = false;
    bool sealed_ = false;
    std::uint64_t runs_ahead_ = 0;  // that may go on without an opening that can be read
    bool last_is_opening_ = false;
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
