// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_reader.hpp
/// JournalReader: finds operations by number, in the files or in the bytes not written yet.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional

#include <belay/journal/detail/journal_log.hpp>
#include <belay/journal/detail/record_search.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Reads a journal while other threads append to it.
///
/// Thread safety: one thread at a time, concurrently with the log's other users.
template <class FileSystem>
class JournalReader {
public:
    using Log = JournalLog<FileSystem>;
    using File = typename FileSystem::File;

    explicit JournalReader(std::vector<Opening> runs) : runs_{std::move(runs)} {}

    /// Returns the body of an operation. Valid until the next call.
    /// Pre: the log holds the number.
    Result<BytesView> read(const Log& log, std::uint64_t number) {
        const Place place = log.find(number);
        Cursor at{place.segment, place.nonce, place.number, place.mark.offset};
        if (at.segment == 0) return make_error_code(QueueErrc::unknown_number);
        if (found_.has(place, number)) return read_found(log, place, number, nullptr);
        // Continuing where the last read ended avoids the walk from the mark.
        if (next_.segment == at.segment && next_.number <= number && next_.number > at.number) {
            at = next_;
        }
        Result<BytesView> body = walk(log, at, number, nullptr);
        if (body || body.error() != QueueErrc::corrupt) return body;
        if (const std::error_code error = search(log, place)) return error;
        return read_found(log, place, number, nullptr);
    }

    /// Returns the check at `number`.   Pre: base - 1 <= number <= last.
    Result<std::uint64_t> check(const Log& log, std::uint64_t number) {
        const Place place = log.find(number);
        if (place.check_is_known) return place.check;
        if (place.segment == 0) return make_error_code(QueueErrc::unknown_number);
        std::uint64_t value = place.mark.check;
        const Cursor at{place.segment, place.nonce, place.number, place.mark.offset};
        const std::error_code error = walk(log, at, number, &value).error();
        if (!error) return value;
        if (error != QueueErrc::corrupt) return error;
        // If this search succeeds, only records without a number were damaged.
        if (const std::error_code unread = search(log, place)) return unread;
        value = place.mark.check;
        for (std::uint64_t n = place.number; n <= number; ++n) {
            const Result<BytesView> body = read_found(log, place, n, &value);
            if (!body) return body.error();
        }
        return value;
    }

    /// Returns the run that appended `number`.
    [[nodiscard]] const Opening& run_of(std::uint64_t number) const noexcept {
        const std::size_t behind =
            first_after(runs_, [number](const Opening& run) { return run.first <= number; });
        // The first span begins with the first segment, because everything before was acknowledged.
        return runs_[behind == 0 ? 0 : behind - 1];
    }

    /// Removes runs whose operations are in no file any more. Acknowledged operations still count,
    /// because a check is computed over them from the mark before it.
    void forget_before(std::uint64_t first_kept) noexcept {
        while (runs_.size() > 1 && runs_[1].first <= first_kept) runs_.erase(runs_.begin());
    }

private:
    struct Cursor {
        std::uint64_t segment = 0;
        std::uint32_t nonce = 0;
        std::uint64_t number = 0;  // of the first operation at or after `offset`
        std::uint32_t offset = 0;
    };

    /// The positions of the operations between two marks, where some record is damaged.
    struct Found {
        std::uint64_t segment = 0;
        std::uint64_t number = 0;  // of the first
        std::uint64_t last = 0;
        std::array<std::uint32_t, journal_format::operations_per_mark> offsets{};  // 0: not found

        [[nodiscard]] bool has(const Place& place, std::uint64_t n) const noexcept {
            return segment == place.segment && number == place.number && n <= last;
        }
    };

    /// Finds everything readable between the mark of a place and the next mark. All of it is
    /// searched only once, however many of its records are damaged and read.
    std::error_code search(const Log& log, const Place& place) {
        const std::uint64_t end =
            place.next_mark != 0 ? place.next_mark : log.records_end(place.segment);
        Bytes bytes;
        Cursor at{place.segment, place.nonce, place.number, place.mark.offset};
        while (at.offset < end) {
            const std::uint64_t left = end - at.offset;
            const Result<BytesView> some =
                view(log, at, static_cast<std::size_t>(smaller<std::uint64_t>(left, piece_bytes)));
            if (!some) return some.error();
            if (some->empty()) break;
            const BytesView part =
                some->first(static_cast<std::size_t>(smaller<std::uint64_t>(left, some->size())));
            bytes.insert(bytes.end(), part.begin(), part.end());
            at.offset += static_cast<std::uint32_t>(part.size());
        }
        Found found{place.segment, place.number, place.last, {}};
        MemoryBytes part{bytes, place.mark.offset};
        RecordSearch<MemoryBytes> records{part};
        // By number, at any position, because a later record may have been copied over an earlier
        // one.
        const auto is_one = [&](const FoundRecord& record) {
            const journal_format::RecordHeader& h = record.header;
            return h.kind == journal_format::Kind::operation && h.number >= place.number &&
                   h.number <= place.last &&
                   record.seed == journal_format::record_seed(place.nonce, run_of(h.number).run);
        };
        std::uint64_t next = place.number;
        for (std::uint64_t offset = place.mark.offset; offset < end;) {
            std::optional<FoundRecord> record = records.at(offset);
            if (!record || !is_one(*record)) record = records.behind({offset, next}, is_one);
            if (!record) break;
            found.offsets[static_cast<std::size_t>(record->header.number - place.number)] =
                static_cast<std::uint32_t>(record->offset);
            next = record->header.number + 1;
            offset = record->end();
        }
        found_ = found;
        return {};
    }
    /// Returns the body of an operation that a search has found.
    Result<BytesView> read_found(const Log& log, const Place& place, std::uint64_t number,
                                 std::uint64_t* check) {
        const std::uint32_t offset =
            found_.offsets[static_cast<std::size_t>(number - place.number)];
        if (offset == 0) return corrupt();
        return walk(log, {place.segment, place.nonce, number, offset}, number, check);
    }

    /// Returns the body of `number`, walking from `at`. Adds each operation on the way to the
    /// check.
    Result<BytesView> walk(const Log& log, Cursor at, std::uint64_t number, std::uint64_t* check) {
        using namespace journal_format;
        for (;;) {
            Result<BytesView> bytes = view(log, at, record_header_bytes);
            if (!bytes) return bytes;
            if (bytes->size() < record_header_bytes) return corrupt();
            const RecordHeader h = decode_record_header(bytes->data());
            const bool wanted = h.kind == Kind::operation && h.number == number;
            if (h.kind == Kind::none || h.kind == Kind::seal || h.kind > Kind::note) {
                return corrupt();
            }
            if (h.kind == Kind::operation && h.number != at.number) return corrupt();
            BytesView body;
            if (wanted || (check != nullptr && h.kind == Kind::operation)) {
                // Usually the window already has all of it.
                if (bytes->size() - record_header_bytes < h.length) {
                    bytes = view(log, at, record_header_bytes + h.length);
                    if (!bytes) return bytes;
                    if (bytes->size() - record_header_bytes < h.length) return corrupt();
                }
                body = bytes->subspan(record_header_bytes, h.length);
                const std::uint32_t crc = part::crc32c(body);
                const Opening& run = run_of(h.number);
                if (h.durable > at.offset ||
                    record_crc(bytes->data(), crc, record_seed(at.nonce, run.run)) != h.crc) {
                    return corrupt();
                }
                if (check != nullptr)
                    *check = journal_format::next_check(*check, crc, h.length, run.salt);
            }
            // A damaged length may lead anywhere and, past 4 GiB, back to the same position.
            const std::uint64_t end = std::uint64_t{at.offset} + record_header_bytes + h.length;
            if (end > log.records_end(at.segment)) return corrupt();
            at.offset += static_cast<std::uint32_t>(record_bytes(h.length));
            if (h.kind == Kind::operation) ++at.number;
            if (wanted) {
                next_ = at;
                return body;
            }
        }
    }

    static std::error_code corrupt() noexcept { return make_error_code(QueueErrc::corrupt); }

    /// Returns the bytes at a position: `length` of them or more, fewer where they end.
    Result<BytesView> view(const Log& log, const Cursor& at, std::size_t length) {
        std::uint32_t written = log.written_end(at.segment);
        if (at.offset >= written) {
            if (log.copy_unwritten(at.segment, at.offset, length, unwritten_)) {
                return BytesView{unwritten_.data(), unwritten_.size()};
            }
            // They were written in the meantime.
            written = log.written_end(at.segment);
        }
        if (segment_ != at.segment) {
            Result<File> file = log.file_system().open(
                log.path() + '/' + journal_format::segment_name(at.segment), OpenMode::read);
            if (!file) return displaced_if_gone(file.error());
            const Result<FileIdentity> identity = file->identity();
            if (!identity) return identity.error();
            // A copy of the file may have been appended to: it has other operations with the same
            // numbers.
            if (*identity != log.file_of(at.segment)) {
                return make_error_code(QueueErrc::displaced);
            }
            // In a directory that was restored, a new file may have the identity of an old one.
            // Hardly all of them do.
            if (const std::error_code error = log.look_for_last()) return error;
            file_.emplace(std::move(*file));
            segment_ = at.segment;
            window_.forget();
        }
        return window_.at_least(*file_, at.offset, length, written);
    }

    static constexpr std::size_t piece_bytes = std::size_t{64} << 10;

    std::vector<Opening> runs_;
    Cursor next_;
    Found found_;
    std::uint64_t segment_ = 0;  // the segment of `file_` and `window_`
    std::optional<File> file_;
    FileWindow window_;
    Bytes unwritten_;
};

}}}  // namespace belay::detail
