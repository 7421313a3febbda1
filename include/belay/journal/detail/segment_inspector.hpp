// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_inspector.hpp
/// SegmentInspector: finds the records of a segment, also between and behind damage.
#pragma once

#include <cstring>   // std::memcpy
#include <optional>  // std::optional
#include <string>    // std::string
#include <vector>    // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/file_system_like.hpp>

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

/// Numbers that no record has, although there were operations with them.
struct NumberGap {
    std::uint64_t first;
    std::uint64_t last;
};

/// What the segments of a journal say together.
struct JournalOutline {
    bool id_known = false;
    bool numbers_known = false;  // where they begin
    Id journal{};
    Id pin{};
    std::uint32_t run = 0;
    std::uint64_t acked = 0;
    std::uint64_t first = 0;  // the first operation that there is or must have been; 0: unknown
    std::uint64_t last = 0;   // the last one
    Bytes note;
    std::vector<NumberGap> gaps;
};

/// Bytes of a segment that are not what was written.
struct DamagedPart {
    std::uint64_t offset;
    std::uint64_t bytes;
    const char* what;
};

/// Reads one segment from its bytes.
class SegmentInspector {
public:
    SegmentInspector(BytesView bytes, std::uint64_t index, bool is_last,
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
                record = records_.behind({at, next_number()}, [&](const FoundRecord& found) {
                    return goes_on(found, found.offset - at);
                });
                if (!record || (is_last_ && !is_vouched_for(at))) break;
                damages_.push_back({at, record->offset - at, "these bytes are no record"});
            }
            look_at_padding(*record);
            take(*record, record->offset == at, on_operation);
            at = end_ = record->end();
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
        for (std::uint64_t at = 0; at < bytes_.size(); at += alignment) {
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

    /// Whether a record is of the run that goes on, or of one of the next ones, as many as could
    /// begin in the `skipped` bytes before it.
    bool goes_on(const FoundRecord& found, std::uint64_t skipped) const noexcept {
        using namespace journal_format;
        const std::uint32_t run = run_of(found);
        const std::uint64_t later = skipped / record_bytes(4);
        const bool opens =
            found.header.kind == Kind::opening && (found.header.number == run || seed_is_found_);
        return run >= run_ && run - run_ <= (opens ? later + 1000 : later);
    }
    std::uint32_t run_of(const FoundRecord& found) const noexcept { return found.seed - nonce_; }
    /// The number of the operation that must come next; 0: nobody knows.
    std::uint64_t next_number() const noexcept {
        return outline_.numbers_known ? outline_.last + 1 : 0;
    }

    /// Whether a record behind `at` was made when that place was on the medium already. If none
    /// was, what follows is a write that a power loss has left in pieces, and was never promised.
    bool is_vouched_for(std::uint64_t at) noexcept {
        using namespace journal_format;
        // All behind it is looked at once: what vouches for a later place is behind this one, too.
        if (!vouched_is_known_) {
            for (std::uint64_t i = at; i < bytes_.size(); i += alignment) {
                const std::optional<FoundRecord> found = records_.at(i);
                if (found && goes_on(*found, i - at)) {
                    vouched_ = larger(vouched_, std::uint64_t{found->header.durable});
                }
            }
            vouched_is_known_ = true;
        }
        return vouched_ > at;
    }

    void look_at_padding(const FoundRecord& record) {
        const std::uint64_t from =
            record.offset + journal_format::record_header_bytes + record.header.length;
        const std::uint64_t to = smaller<std::uint64_t>(record.end(), bytes_.size());
        for (std::uint64_t i = from; i < to; ++i) {
            if (bytes_[static_cast<std::size_t>(i)] == std::byte{0}) continue;
            damages_.push_back({from, to - from, "not zero between two records"});
            return;
        }
    }

    template <class OnOperation>
    void take(const FoundRecord& record, bool follows, OnOperation& on_operation) {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        run_ = run_of(record);
        if (!seed_is_found_) outline_.run = run_;
        switch (h.kind) {
            case Kind::operation: {
                const bool comes_again = outline_.numbers_known && h.number <= outline_.last;
                if (comes_again || (follows && next_number() != 0 && h.number != next_number())) {
                    damages_.push_back({record.offset, record.end() - record.offset,
                                        "an operation that is not the next one"});
                }
                if (comes_again) break;
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
            unfinished_ = rest;
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
    RecordSearch records_;
    std::uint32_t nonce_ = 0;
    std::uint32_t run_ = 0;
    bool seed_is_found_ = false;
    bool sealed_ = false;
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
