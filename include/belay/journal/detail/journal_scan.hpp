// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_scan.hpp
/// Reads a segment from its first record to its end, and distinguishes a crash from damage.
#pragma once

#include <cstring>  // std::memcpy
#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/journal/detail/file_window.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/detail/segment_files.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The content of all records of a journal, collected segment by segment.
struct Gathered {
    std::uint64_t acked = 0;
    Id pin{};
    Bytes note;
    std::uint32_t run = 0;
    std::uint32_t salt = 0;
    std::vector<Opening> runs;

    void begin_run(const Opening& opening) {
        run = opening.run;
        salt = opening.salt;
        add_opening(runs, opening);
    }
    /// Takes the content of a segment's header. The note is its first record, if there is one.
    void enter(const journal_format::SegmentHeader& h) {
        acked = larger(acked, h.acked);
        pin = h.pin;
        if (h.made_bytes == journal_format::segment_header_bytes) note.clear();
        if (runs.empty() || h.run != run) begin_run({h.first, h.run, h.salt});
    }
};

/// The result of a scan.
struct ScanEnd {
    std::error_code error;  // reading failed, or a valid record is inconsistent
    const char* what = "";  // about the error
    bool sealed = false;
    bool empty = true;              // no record was put since it was created
    std::uint64_t garbage_end = 0;  // the end of the last nonzero byte, if after `end`
    // The last opening but one was being replaced when the power failed, and is incomplete.
    bool torn_opening = false;
};

/// Reads one segment. `Segment::end` is the end of its valid records.
template <class File>
class SegmentScan {
public:
    SegmentScan(const File& file, std::uint64_t file_bytes, Segment& segment, Gathered& gathered,
                FileWindow& window) noexcept
        : file_{file}, size_{file_bytes}, s_{segment}, g_{gathered}, window_{window} {}

    /// Reads records until one is invalid or the segment is sealed.
    ScanEnd run() {
        s_.last = s_.header.first - 1;
        s_.check = s_.header.check;
        s_.end = journal_format::segment_header_bytes;
        return resume();
    }
    /// Reads on from `Segment::end`.
    ScanEnd resume() {
        window_.forget();
        ScanEnd end;
        while (!end.sealed && !end.error) {
            const Result<Record> record = record_at(s_.end);
            if (!record) end.error = record.error();
            if (!record) break;
            if (is_next(*record)) {
                take(*record, end);
            } else if (!passes_older_opening(*record, end)) {
                break;
            }
        }
        end.empty = s_.end <= s_.header.made_bytes;
        if (!end.error && s_.end < s_.header.made_bytes) {
            reject(end, QueueErrc::corrupt,
                   "the part that was written when the file was created is damaged");
        }
        return end;
    }

    /// Passes damage at `Segment::end`, up to the next record. The operations in it stay damaged,
    /// and the check leaves them out.
    /// Returns: false if there is none.   Complexity: O(bytes until there).
    bool skip_damage() {
        using journal_format::Kind;
        FilePart<File> tail{file_, window_, {s_.end, size_}};
        RecordSearch records{tail};
        const auto run_of = [&](const journal_format::RecordHeader& h) {
            return journal_format::run_from(g_.run, h.run);
        };
        const auto found = records.next(s_.end, s_.header.nonce, [&](const FoundRecord& record) {
            const journal_format::RecordHeader& h = record.header;
            if (h.kind == Kind::opening) return h.number > g_.run;
            const bool earlier_run = run_of(h) - g_.run > journal_format::run_in_record(~0U) / 2;
            return !earlier_run && h.kind != Kind::seal &&
                   (h.kind != Kind::operation || h.number > s_.last);
        });
        if (!found || tail.error()) return false;
        if (gap_ == 0) gap_ = s_.end;
        s_.end = static_cast<std::uint32_t>(found->offset);
        last_is_opening_ = false;
        if (found->header.kind == Kind::opening || run_of(found->header) == g_.run) return true;
        // Its opening is damaged.
        s_.open_run(run_of(found->header), 0);
        g_.begin_run(s_.openings.back());
        return true;
    }
    /// Ends the scan behind damage that no operation follows: it may have been an operation.
    void end_gap() {
        if (gap_ != 0) fill_gap(s_.last + 2);
    }

    /// Uses the seal of the segment instead of reading all its records. Returns false, and changes
    /// nothing, if the seal is not at the position that the next segment gives, or contradicts it.
    bool take_seal(const journal_format::SegmentHeader& next) {
        window_.forget();
        const Result<Record> record = record_at(next.previous_seal);
        if (!record || record->bytes.empty()) return false;
        const journal_format::RecordHeader& h = record->header;
        if (h.kind != journal_format::Kind::seal || !is_whole(*record)) return false;
        Result<journal_format::Seal> seal = journal_format::decode_seal(record->payload());
        if (!seal || seal->check != next.check || h.number != next.first - 1 ||
            !is_possible(*seal, next)) {
            return false;
        }
        for (const Opening& opening : seal->openings) g_.begin_run(opening);
        s_.last = h.number;
        s_.check = seal->check;
        s_.end =
            next.previous_seal + static_cast<std::uint32_t>(journal_format::record_bytes(h.length));
        s_.marks = std::move(seal->marks);
        return true;
    }

    /// Returns whether a record was put into the segment after its creation; false if that is
    /// unreadable.
    bool is_used() {
        window_.forget();
        const Result<Record> record = record_at(s_.header.made_bytes);
        return record && is_next(*record);
    }

    /// Decides whether the bytes after `Segment::end` are the trace of a crash. If not, sets
    /// `error`.
    ///
    /// A record after an invalid one is evidence of damage, if it was made when the invalid one's
    /// position was already on the medium. So is a whole record that was written to another place.
    void classify_tail(ScanEnd& end) {
        FilePart<File> tail{file_, window_, {s_.end, size_}};
        if (tail.used() != 0) {
            end.garbage_end = s_.end + tail.used();
            RecordSearch records{tail};
            if (records.proven_after(s_.end, s_.header.nonce) > s_.end) {
                reject(end, QueueErrc::corrupt,
                       "a later record proves that this place was written");
            } else if (begins_moved(records)) {
                reject(end, QueueErrc::corrupt,
                       "a record is not at the place where it was written");
            }
        }
        if (tail.error()) end.error = tail.error();
    }

private:
    static constexpr std::size_t chunk_bytes = std::size_t{64} << 10;
    static constexpr std::uint32_t opening_bytes = 32;
    static_assert(journal_format::record_bytes(opening_payload_bytes) == opening_bytes);

    struct Record {
        std::uint64_t offset = 0;
        journal_format::RecordHeader header;
        std::uint32_t payload_crc = 0;
        BytesView bytes;  // header and payload; empty if there is no space for them

        [[nodiscard]] BytesView payload() const noexcept {
            return bytes.subspan(journal_format::record_header_bytes);
        }
    };

    /// Reads what may be a record at `offset`, without checking its checksum.
    Result<Record> record_at(std::uint64_t offset) {
        using namespace journal_format;
        Record record;
        record.offset = offset;
        Result<BytesView> bytes = window_.at_least(file_, offset, record_header_bytes, size_);
        if (!bytes) return bytes.error();
        if (bytes->size() < record_header_bytes) return record;
        record.header = decode_record_header(bytes->data());
        const RecordHeader& h = record.header;
        if (h.kind == Kind::none || h.length > size_ - offset - record_header_bytes) return record;
        const std::size_t length = record_header_bytes + h.length;
        if (bytes->size() < length) {
            bytes = window_.at_least(file_, offset, length, size_);
            if (!bytes) return bytes.error();
            if (bytes->size() < length) return record;
        }
        record.bytes = bytes->first(length);
        record.payload_crc = part::crc32c(record.payload());
        return record;
    }

    /// Returns whether a record was written to this place of this segment.
    bool is_whole(const Record& record) const noexcept {
        using namespace journal_format;
        const std::uint32_t seed = record_seed(s_.header.nonce, record.offset);
        return !record.bytes.empty() &&
               record.header.crc == record_crc(record.bytes.data(), record.payload_crc, seed);
    }
    /// Returns whether a record belongs to the current run, or opens a later one.
    bool is_next(const Record& record) const noexcept {
        using namespace journal_format;
        const RecordHeader& h = record.header;
        return is_whole(record) && (h.kind == Kind::opening ? has_form(h) && h.number > g_.run
                                                            : h.run == run_in_record(g_.run));
    }
    /// Returns whether a record is an opening, without a look at the records before it.
    bool is_opening(const Record& record) const noexcept {
        return record.header.kind == journal_format::Kind::opening && has_form(record.header) &&
               is_whole(record);
    }

    /// Returns whether a record of the current run that was written to another place is where the
    /// next one must begin. A record that a crash left incomplete has the next number, and no other
    /// one after it that was written at the same distance.
    template <class Source>
    bool begins_moved(RecordSearch<Source>& records) {
        using namespace journal_format;
        const std::optional<FoundRecord> found = records.at(s_.end);
        if (!found || found->header.run != run_in_record(g_.run)) return false;
        const std::uint32_t place = s_.end + found->nonce - s_.header.nonce;
        if (place == s_.end || place >= size_ || place % alignment != 0) return false;
        if (found->header.kind == Kind::operation && found->header.number != s_.last + 1)
            return true;
        const std::optional<FoundRecord> next = records.peek(found->end());
        return next && next->nonce == found->nonce;
    }

    /// Openings with nothing between them are written to two positions in turn. So the one after
    /// the last may be older. The one before the last may be torn, but only if nothing follows,
    /// because the next opening rewrites it.
    bool passes_older_opening(const Record& record, ScanEnd& end) {
        if (last_is_opening_ && s_.older_opening == 0 && is_opening(record)) {
            s_.older_opening = s_.end;
            s_.end += opening_bytes;
            return true;
        }
        if (s_.end < s_.header.made_bytes) return false;
        const Result<Record> behind = record_at(s_.end + opening_bytes);
        if (!behind) end.error = behind.error();
        if (!behind || !is_opening(*behind) || !is_next(*behind)) return false;
        const std::uint32_t torn = s_.end;
        if (!only_zeros_from(torn + 2 * opening_bytes)) return false;
        const Result<Record> again = record_at(torn + opening_bytes);
        if (!again) end.error = again.error();
        if (!again) return false;
        s_.end += opening_bytes;
        take(*again, end);
        s_.older_opening = torn;
        end.torn_opening = true;
        return true;
    }
    bool only_zeros_from(std::uint64_t at) {
        while (at < size_) {
            const Result<BytesView> bytes = window_.view(file_, at, chunk_bytes, size_);
            if (!bytes || bytes->empty()) break;
            if (bytes_before_zeros(*bytes) != 0) return false;
            at += bytes->size();
        }
        return true;
    }

    void take(const Record& record, ScanEnd& end) {
        using journal_format::Kind;
        const journal_format::RecordHeader& h = record.header;
        if (h.kind > Kind::note) {
            return reject(end, QueueErrc::other_version, "a record has an unknown kind");
        }
        if (!has_form(h)) return reject(end, QueueErrc::corrupt, "a record is malformed");
        s_.durable = larger(s_.durable, h.durable);
        const bool opens = h.kind == Kind::opening;
        s_.older_opening = opens && last_is_opening_ ? s_.end - opening_bytes : 0;
        last_is_opening_ = opens;
        switch (h.kind) {
            case Kind::operation: {
                fill_gap(h.number);
                gap_ = 0;
                if (h.number != s_.last + 1) {
                    return reject(end, QueueErrc::corrupt,
                                  "a number is missing between two records");
                }
                s_.add(h.number, s_.end);
                s_.check =
                    journal_format::next_check(s_.check, record.payload_crc, h.length, g_.salt);
                break;
            }
            case Kind::opening: {
                const auto run = static_cast<std::uint32_t>(h.number);
                s_.open_run(run, load_le<std::uint32_t>(record.payload().data()));
                g_.begin_run(s_.openings.back());
                break;
            }
            case Kind::ack: {
                fill_gap(h.number + 1);
                if (h.number > s_.last) {
                    return reject(end, QueueErrc::corrupt,
                                  "a record acknowledges operations that do not exist");
                }
                g_.acked = larger(g_.acked, h.number);
                break;
            }
            case Kind::pin: {
                std::memcpy(g_.pin.data(), record.payload().data(), g_.pin.size());
                break;
            }
            case Kind::note: {
                g_.note.assign(record.payload().begin(), record.payload().end());
                break;
            }
            default: {
                const Bytes seal = journal_format::encode_seal(s_.check, s_.openings, s_.marks);
                if (h.number != s_.last || h.length != seal.size() ||
                    std::memcmp(seal.data(), record.payload().data(), seal.size()) != 0) {
                    return reject(end, QueueErrc::corrupt, "the seal does not match the records");
                }
                s_.openings = {};
                end.sealed = true;
                break;
            }
        }
        s_.end += static_cast<std::uint32_t>(journal_format::record_bytes(h.length));
    }

    /// Adds the damaged operations before operation `next`, if the damage has space for them.
    void fill_gap(std::uint64_t next) {
        constexpr std::uint32_t least = journal_format::record_header_bytes;
        for (; gap_ != 0 && s_.last + 1 < next && gap_ + least <= s_.end; gap_ += least)
            s_.add(s_.last + 1, gap_);
    }

    /// Returns whether the content of a seal is possible. It must not lead a reader out of the
    /// file.
    bool is_possible(const journal_format::Seal& seal,
                     const journal_format::SegmentHeader& next) const noexcept {
        const std::uint64_t first = s_.header.first;
        if (next.first < first) return false;
        const std::uint64_t operations = next.first - first;
        if (seal.marks.size() !=
            operations / operations_per_mark + (operations % operations_per_mark != 0 ? 1 : 0)) {
            return false;
        }
        std::uint32_t before = s_.header.made_bytes - 1;
        for (const Mark& mark : seal.marks) {
            if (mark.offset <= before || mark.offset >= next.previous_seal) return false;
            before = mark.offset;
        }
        Opening last{first, s_.header.run, 0};
        for (const Opening& opening : seal.openings) {
            if (opening.first < last.first || opening.first > next.first) return false;
            if (opening.run <= last.run) return false;
            last = opening;
        }
        return true;
    }

    static void reject(ScanEnd& end, QueueErrc error, const char* what) noexcept {
        end.error = make_error_code(error);
        end.what = what;
    }

    const File& file_;
    std::uint64_t size_;
    Segment& s_;
    Gathered& g_;
    FileWindow& window_;
    bool last_is_opening_ = false;
    std::uint32_t gap_ = 0;  // where damage begins that may have more operations; 0: none
};

}}}  // namespace belay::detail
