// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_inspector.hpp
/// SegmentInspector: finds the records of a segment, also between and behind damage.
#pragma once

#include <algorithm>  // std::all_of
#include <cstring>    // std::memcpy
#include <optional>   // std::optional
#include <string>     // std::string
#include <vector>     // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/journal_outline.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay::inline BELAY_ABI::detail {

/// All bytes of a file.   Throws: std::bad_alloc.
template <class FileSystem>
[[nodiscard]] std::error_code read_whole_file(FileSystem& fs, const std::string& path,
                                              Bytes& into) {
    const auto file = fs.open(path, OpenMode::read);
    if (!file) return file.error();
    const Result<std::uint64_t> size = file->size();
    if (!size) return size.error();
    into.resize(static_cast<std::size_t>(*size));
    const Result<std::size_t> count = file->read(0, into);
    if (!count) return count.error();
    into.resize(*count);
    return {};
}

/// The header of a segment that was made, and into which nothing was put yet; none of any other.
[[nodiscard]] inline std::optional<journal_format::SegmentHeader> fresh_segment(
    BytesView bytes, std::uint64_t index) noexcept {
    using namespace journal_format;
    const Result<SegmentHeader> header = decode_segment_header(bytes);
    if (!header || header->index != index || header->made_bytes > bytes.size()) {
        return std::nullopt;
    }
    for (std::size_t i = header->made_bytes; i < bytes.size(); ++i) {
        if (bytes[i] != std::byte{0}) return std::nullopt;
    }
    if (header->made_bytes == segment_header_bytes) return *header;
    // The kept note, if there was one.
    const std::byte* const p = bytes.data() + segment_header_bytes;
    if (header->made_bytes < segment_header_bytes + record_header_bytes) return std::nullopt;
    const RecordHeader note = decode_record_header(p);
    if (note.kind != Kind::note || note.length > note_bytes_max ||
        segment_header_bytes + record_bytes(note.length) != header->made_bytes) {
        return std::nullopt;
    }
    const std::uint32_t crc = crc32c({p + record_header_bytes, note.length});
    const bool whole = note.crc == record_crc(p, crc, record_seed(header->nonce, header->run));
    return whole ? std::optional{*header} : std::nullopt;
}

/// Reads one segment from its bytes.
class SegmentInspector {
public:
    SegmentInspector(BytesView bytes, std::uint64_t index, bool is_last,
                     JournalOutline& outline) noexcept
        : bytes_{bytes}, index_{index}, is_last_{is_last}, outline_{outline} {}

    template <class OnOperation>
    void run(OnOperation& on_operation) {
        using namespace journal_format;
        if (!read_header()) return;
        std::uint64_t at = smaller<std::uint64_t>(segment_header_bytes, bytes_.size());
        end_ = at;
        std::uint64_t skipped = 0;
        while (at < bytes_.size() && !sealed_) {
            const std::optional<Record> record = record_at(at, skipped);
            if (!record && is_of_later_version(at)) {
                error_ = make_error_code(QueueErrc::future_version);
                return;
            }
            if (record) {
                look_at_padding(at, *record);
                at += record_bytes(record->header.length);
                take(*record, on_operation);
                end_ = at;
                last_is_opening_ = record->header.kind == Kind::opening;
                // The one before it, which is damaged, may be that of the next run.
                runs_ahead_ = last_is_opening_ && skipped != 0 ? 1 : 0;
                skipped = 0;
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
            skipped = next - at;
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
        BytesView payload;
        std::uint32_t run;
    };

    /// False if nothing of the file can be used.
    bool read_header() {
        using namespace journal_format;
        Result<SegmentHeader> header = decode_segment_header(bytes_);
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

    /// The header as if its version were this one's: of a later version it would have another
    /// checksum.
    [[nodiscard]] Result<journal_format::SegmentHeader> with_this_version() const noexcept {
        using namespace journal_format;
        SegmentHeaderBytes copy;
        std::memcpy(copy.data(), bytes_.data(), copy.size());
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
        for (std::uint64_t at = 0; at + record_header_bytes <= bytes_.size(); at += alignment) {
            const std::optional<std::uint32_t> seed = seed_at(at);
            if (!seed) continue;
            const RecordHeader h = decode_record_header(bytes_.data() + at);
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
    std::optional<std::uint32_t> seed_at(std::uint64_t at) const noexcept {
        using namespace journal_format;
        if (at + record_header_bytes > bytes_.size()) return std::nullopt;
        const std::byte* const p = bytes_.data() + at;
        const RecordHeader h = decode_record_header(p);
        if (h.kind == Kind::none || h.kind > Kind::note || h.flags != 0 || h.key_length != 0 ||
            h.durable > at || h.length > bytes_.size() - at - record_header_bytes) {
            return std::nullopt;
        }
        const std::uint32_t crc = crc32c({p + record_header_bytes, h.length});
        return seed_by_crc(h.crc, record_crc(p, crc, 0));
    }

    /// The record at `at`, if it is one of the run that goes on, or opens a later one; or if it is
    /// of one of the next runs, as many as could begin in the `skipped` bytes before it, or as the
    /// record behind it says, too.
    std::optional<Record> record_at(std::uint64_t at, std::uint64_t skipped) const noexcept {
        using namespace journal_format;
        const std::optional<std::uint32_t> seed = seed_at(at);
        if (!seed) return std::nullopt;
        const RecordHeader h = decode_record_header(bytes_.data() + at);
        const std::uint32_t run = *seed - nonce_;
        if (run < run_ || run - run_ > runs_in_a_row_max) return std::nullopt;
        const std::uint64_t later = larger<std::uint64_t>(skipped / record_bytes(4), runs_ahead_);
        const bool opens = h.kind == Kind::opening &&
                           (h.number == run || (seed_is_found_ && run - run_ <= later + 1000));
        if (!opens && run - run_ > later &&
            (skipped == 0 || seed_at(at + record_bytes(h.length)) != seed)) {
            return std::nullopt;
        }
        return Record{
            h, bytes_.subspan(static_cast<std::size_t>(at) + record_header_bytes, h.length), run};
    }

    bool is_older_opening(std::uint64_t at) const noexcept {
        using namespace journal_format;
        const std::optional<std::uint32_t> seed = seed_at(at);
        if (!seed) return false;
        const RecordHeader h = decode_record_header(bytes_.data() + at);
        const std::uint32_t run = *seed - nonce_;
        return h.kind == Kind::opening && h.length == 4 && run_ - run <= runs_in_a_row_max &&
               (h.number == run || seed_is_found_);
    }
    /// Whether an opening was being written there, in front of the last one, when the power failed.
    bool is_torn_opening(std::uint64_t at) const noexcept {
        using namespace journal_format;
        const std::optional<Record> next = record_at(at + record_bytes(4), 0);
        if (!next || next->header.kind != Kind::opening || next->run == run_) return false;
        const BytesView rest = bytes_.subspan(static_cast<std::size_t>(at) + 2 * record_bytes(4));
        return std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
    }

    std::uint64_t next_record(std::uint64_t from) const noexcept {
        using namespace journal_format;
        for (std::uint64_t at = from + alignment; at + record_header_bytes <= bytes_.size();
             at += alignment) {
            if (record_at(at, at - from)) return at;
        }
        return bytes_.size();
    }

    /// Whether a record behind `at` was made when that place was on the medium already. If none
    /// was, what follows is a write that a power loss has left in pieces, and was never promised.
    bool is_vouched_for(std::uint64_t at) noexcept {
        using namespace journal_format;
        // All behind it is looked at once: what vouches for a later place is behind this one, too.
        if (!vouched_is_known_) {
            for (std::uint64_t i = at; i + record_header_bytes <= bytes_.size(); i += alignment) {
                const std::optional<Record> record = record_at(i, i - at);
                if (record) vouched_ = larger(vouched_, std::uint64_t{record->header.durable});
            }
            vouched_is_known_ = true;
        }
        return vouched_ > at;
    }

    /// Whether a record that goes on is whole, and of a kind or form that is not known here.
    bool is_of_later_version(std::uint64_t at) const noexcept {
        using namespace journal_format;
        if (at + record_header_bytes > bytes_.size()) return false;
        const std::byte* const p = bytes_.data() + at;
        const RecordHeader h = decode_record_header(p);
        if (h.kind == Kind::none || h.length > bytes_.size() - at - record_header_bytes) {
            return false;
        }
        const std::uint32_t crc = crc32c({p + record_header_bytes, h.length});
        return h.crc == record_crc(p, crc, nonce_ + run_);
    }

    void look_at_padding(std::uint64_t at, const Record& record) {
        using namespace journal_format;
        const std::uint64_t from = at + record_header_bytes + record.header.length;
        const std::uint64_t to =
            smaller<std::uint64_t>(at + record_bytes(record.header.length), bytes_.size());
        for (std::uint64_t i = from; i < to; ++i) {
            if (bytes_[static_cast<std::size_t>(i)] == std::byte{0}) continue;
            damages_.push_back({from, to - from, "not zero between two records"});
            return;
        }
    }

    template <class OnOperation>
    void take(const Record& record, OnOperation& on_operation) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
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
                on_operation(h.number, record.payload);
                break;
            }
            case Kind::ack: {
                outline_.acked = larger(outline_.acked, h.number);
                break;
            }
            case Kind::pin: {
                if (h.length == outline_.pin.size()) {
                    std::memcpy(outline_.pin.data(), record.payload.data(), outline_.pin.size());
                }
                break;
            }
            case Kind::note: {
                outline_.note.assign(record.payload.begin(), record.payload.end());
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
        std::size_t end = bytes_.size();
        while (end > end_ && bytes_[end - 1] == std::byte{0}) --end;
        const std::uint64_t rest = end - end_;
        if (is_last_ && !sealed_) {
            unfinished_ = rest + (torn_opening_ ? journal_format::record_bytes(4) : 0);
        } else if (!sealed_) {
            damages_.push_back({end_, rest, "its end, and the seal, are missing"});
        } else if (rest != 0) {
            damages_.push_back({end_, rest, "something follows the seal"});
        }
    }

    BytesView bytes_;
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
