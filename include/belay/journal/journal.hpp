// SPDX-License-Identifier: MIT
/// \file belay/journal/journal.hpp
/// Journal: a queue of operations in files, which survives crashes and loses nothing durable.
#pragma once

#include <array>     // std::array
#include <optional>  // std::optional

#include <belay/journal/detail/journal_log.hpp>
#include <belay/journal/detail/journal_recovery.hpp>
#include <belay/journal/detail/record_search.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

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
        const auto is_one = [&](const FoundRecord& record) {
            const journal_format::RecordHeader& h = record.header;
            return h.kind == journal_format::Kind::operation && h.number >= place.number &&
                   h.number <= place.last && has_run(h, run_of(h.number));
        };
        for (auto record = records.next(place.mark.offset, place.nonce, is_one); record;
             record = records.next(record->end(), place.nonce, is_one)) {
            found.offsets[static_cast<std::size_t>(record->header.number - place.number)] =
                static_cast<std::uint32_t>(record->offset);
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
                if (!has_run(h, run) ||
                    record_crc(bytes->data(), crc, record_seed(at.nonce, at.offset)) != h.crc) {
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

    static bool has_run(const journal_format::RecordHeader& h, const Opening& run) noexcept {
        return h.run == journal_format::run_in_record(run.run);
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

}  // namespace detail

/// A queue of numbered operations in files, which survives crashes.
///
/// Operations are numbered from 1 and stored in segment files in a directory of their own. `append`
/// accepts an operation, `commit` makes it durable, and `ack` releases it. Only one process, and
/// only one object in it, may have a journal open. docs/reference/formats/journal.md describes
/// the files. docs/reference/journal.md describes what survives which failure.
///
/// Models:        LeasableLike, LogLike.
/// Thread safety: append, try_push, commit, flush, unflushed, last, durable, base, size, bytes and
/// failed: any thread. All other calls: one thread at a time, the owner, also while other threads
/// make those calls. Moving and destroying a journal: no other call at the same time.
/// Blocks:        on the disk: append and keep when a segment or the buffer is full, ack when a
///                segment is deleted, and commit, flush and pin_store always. In Flush::each all of
///                these block always, and threads that append block one after the other.
template <FileSystemLike FileSystem>
class Journal {
public:
    using value_type = Bytes;

    /// Opens the journal in directory `path`, or makes one there, and begins a run.
    ///
    /// The file system must outlive the journal.
    ///
    /// Errors: what is wrong, where, and what to do; see JournalError. A journal on a full disk
    /// opens, unless its last segment has no space for two openings, 64 bytes.
    /// Throws: std::bad_alloc.
    /// Complexity: reads the last segment, and the ends of the segments before it. These ends have
    /// a fifth of a byte for each operation. Reads everything if `Verify` requests it.
    [[nodiscard]] static Result<Journal, JournalError> open(FileSystem& fs, std::string path,
                                                            JournalOptions options = {}) {
        detail::JournalRecovery<FileSystem> recovery{fs, path, options};
        detail::Ref<Log> log = recovery.open();
        if (!log) return std::move(recovery.error);
        return Journal{std::move(log), std::move(recovery.gathered.runs),
                       std::move(recovery.report)};
    }

    /// Opens a journal on a file system without state.
    [[nodiscard]] static Result<Journal, JournalError> open(std::string path,
                                                            JournalOptions options = {})
        requires std::is_empty_v<FileSystem>
    {
        static FileSystem none;
        return open(none, std::move(path), options);
    }

    Journal(const Journal&) = delete;
    Journal(Journal&&) noexcept = default;
    Journal& operator=(Journal&& other) noexcept {
        if (this != &other) {
            close();
            log_ = std::move(other.log_);
            reader_ = std::move(other.reader_);
            report_ = std::move(other.report_);
        }
        return *this;
    }
    /// Flushes what was appended and acknowledged, if the disk allows it. To be sure, call `commit`
    /// before.
    ~Journal() { close(); }

    // ---- numbers --------------------------------------------------------------------------------

    /// Appends an operation, which is durable after the next `commit`, or in Flush::each when this
    /// returns.
    ///
    /// Errors:     too_large; no space, or no descriptor, permission or memory for a new file; the
    ///             error of `failed`; displaced, if the disk is written to and the files are not at
    ///             their path any more. The operation was then not taken. But after a failure of
    ///             the disk in Flush::each that has not ended, the next opening may find it.
    /// Complexity: O(length).   Allocates: when a segment is full.
    [[nodiscard]] Result<std::uint64_t> append(BytesView body) noexcept {
        return log_->append(body);
    }

    /// Makes everything durable that was appended and acknowledged before the call; see `Flush`.
    ///
    /// One flush serves all threads that wait for it. Before it begins, it waits for as many
    /// threads as the last flush served. The wait takes at most half of the time that the last
    /// flush took.
    ///
    /// If there is space only for the appended operations, the acknowledgements wait. That is no
    /// error, and `acked_durable` shows it.
    /// Errors: no space for the write; displaced; those of looking at the path. After these nothing
    /// is lost, and you may call it again. The error `displaced` means that the files are not at
    /// their path any more. Operations that are not durable yet may then be lost. After any other
    /// error, also no space in the sync, the journal has failed. With `reopens`, a later call that
    /// succeeds makes everything durable.
    [[nodiscard]] std::error_code commit() noexcept { return log_->commit(); }

    /// Makes everything durable that was appended, kept and acknowledged before the call, in every
    /// mode. It differs from `commit` only in Flush::none.
    ///
    /// Errors: as `commit`.   Blocks: on the disk, unless nothing is new.
    [[nodiscard]] std::error_code flush() noexcept { return log_->commit(true); }

    /// Returns whether something that was appended or kept may not be on the medium yet, so that
    /// `flush` has something to do. An acknowledgement alone may not count.   Complexity: O(1).
    [[nodiscard]] bool unflushed() const noexcept { return log_->unflushed(); }

    /// Stores a note next to the operations, which replaces the note before.
    ///
    /// The note is for state that the journal's owner needs after a restart. A note without bytes
    /// is no note. It becomes durable with the next `commit`, or in Flush::each when this returns.
    /// A crash before that brings the note before it back. It takes space in the files as an
    /// operation does, for as long as the file is needed.
    ///
    /// Errors: too_large, above journal_format::note_bytes_max; no space; the error of `failed`.
    /// The note was then not taken.   Complexity: O(length).
    [[nodiscard]] std::error_code keep(BytesView note) noexcept { return log_->keep(note); }
    /// Returns the kept note, valid until the next `keep`; no bytes if there is none.
    [[nodiscard]] BytesView kept() const noexcept { return log_->kept(); }

    /// Returns an operation's body, valid until the next call of `read`, `check`, `front`, `ack` or
    /// `try_pop`.
    ///
    /// Errors: unknown_number; corrupt; displaced: its file is not at its path any more; those of
    /// the disk.   Throws: std::bad_alloc.
    /// Complexity: O(length) for the number after the last one read; otherwise reads at most 64
    /// records. If one of these is damaged, it reads all of their bytes, once.
    [[nodiscard]] Result<BytesView> read(std::uint64_t number) {
        if (number < base() || number > last()) return make_error_code(QueueErrc::unknown_number);
        return reader_.read(*log_, number);
    }

    /// Acknowledges everything up to `up_to`, which releases it.
    ///
    /// In Flush::each the acknowledgement is durable when this returns. In the other modes it
    /// becomes durable with the next `commit`, and at the latest when a segment file is deleted. A
    /// crash before that brings operations back.
    ///
    /// This call deletes at most 16 of the files in which everything is acknowledged. Later calls
    /// of `ack` and `commit`, each new file, and opening delete the rest.
    ///
    /// Errors: unknown_number, above `last`; the error of `failed`; those of deleting a file and,
    /// in Flush::each, of the flush. After an error of deleting or flushing, the acknowledgement is
    /// still valid. The next call, also with the same number, tries to flush again. The error of a
    /// file that cannot be deleted is returned at most once; see `undeleted_files`.
    [[nodiscard]] std::error_code ack(std::uint64_t up_to) noexcept {
        const std::error_code error = log_->ack(up_to);
        reader_.forget_before(log_->first_kept());
        return error;
    }

    /// Returns the check at `number`; see `next_check`.
    ///
    /// Errors: unknown_number, outside of base() - 1 to last(); as `read`.
    /// Throws: std::bad_alloc.
    /// Complexity: O(1) for last(); otherwise reads at most 64 records.
    [[nodiscard]] Result<std::uint64_t> check(std::uint64_t number) {
        if (number + 1 < base() || number > last()) {
            return make_error_code(QueueErrc::unknown_number);
        }
        return reader_.check(*log_, number);
    }

    /// Returns the salt of the run that appended `number`.   Pre: base() <= number <= last().
    [[nodiscard]] std::uint32_t salt_of(std::uint64_t number) const noexcept {
        BELAY_PRECONDITION(number >= base() && number <= last(),
                           "Journal::salt_of: the journal must hold this number");
        return reader_.run_of(number).salt;
    }

    /// Stores the id of the store to which the operations go; it is durable when this returns.
    /// Errors: as `append` and `commit`.
    [[nodiscard]] std::error_code pin_store(const Id& store) noexcept { return log_->pin(store); }

    /// Returns the maximum size of an operation: JournalOptions::record_bytes_max.
    [[nodiscard]] std::size_t record_bytes_max() const noexcept {
        return log_->options().record_bytes_max;
    }
    [[nodiscard]] const Id& journal_id() const noexcept { return log_->journal_id(); }
    [[nodiscard]] const Id& store_pin() const noexcept { return log_->store_pin(); }
    [[nodiscard]] std::uint32_t run() const noexcept { return log_->run(); }
    [[nodiscard]] std::uint32_t salt() const noexcept { return log_->salt(); }
    /// Returns the first number that is not acknowledged.
    [[nodiscard]] std::uint64_t base() const noexcept { return log_->acked() + 1; }
    /// Returns the last number that was appended; 0 before the first.
    [[nodiscard]] std::uint64_t last() const noexcept { return log_->last(); }
    /// Returns the last number that is durable as the mode defines it. With Flush::none the
    /// operating system has it, and only `unflushed` shows whether it is on the medium.
    [[nodiscard]] std::uint64_t durable() const noexcept { return log_->durable(); }
    /// Returns the last number whose acknowledgement is known to be durable, as the mode defines
    /// it.
    [[nodiscard]] std::uint64_t acked_durable() const noexcept { return log_->acked_durable(); }
    /// Returns the bytes of all records, in the files and not written yet. Acknowledged records
    /// count until all of their file are acknowledged and it was deleted, or that failed.
    /// Complexity: O(1), after such a failure O(files).
    [[nodiscard]] std::uint64_t bytes() const noexcept { return log_->bytes(); }
    /// Returns how many files that are no longer needed could not be deleted.
    ///
    /// They take space on the disk, and nothing else depends on them. After each new file, the
    /// journal tries at most 16 of them again, in turn, until one fails. Opening tries all of them.
    /// Complexity: O(1).
    [[nodiscard]] std::size_t undeleted_files() const noexcept { return log_->undeleted_files(); }
    /// Returns the size of a new file. `bytes` falls only by whole files.
    [[nodiscard]] std::size_t segment_bytes() const noexcept {
        return log_->options().segment_bytes;
    }
    /// Returns the failure of the disk for which the journal takes nothing; no error if there is
    /// none.
    ///
    /// With JournalOptions::AfterFailure::reopens, each call that uses the disk first tries to end
    /// the failure, and this one does, too. With `stops`, open the journal again to find out what
    /// was saved.   Blocks: after a failure, for one flush.
    [[nodiscard]] std::error_code failed() const noexcept { return log_->failed(); }
    /// Returns an error of a call together with the directory and advice.   Throws: std::bad_alloc.
    [[nodiscard]] JournalError explain(std::error_code error) const {
        return {error, log_->path(), 0, {}};
    }
    /// Returns what opening found.
    [[nodiscard]] const JournalReport& report() const noexcept { return report_; }

    // ---- as a storage ---------------------------------------------------------------------------

    /// Appends an operation, as `append` does.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept { return append(body).error(); }
    /// Removes and returns the oldest operation, and acknowledges it.
    ///
    /// It returns nothing if there is no operation, if the journal has failed, or if the operation
    /// cannot be read; `front` returns the reason. If the disk fails or is full during the
    /// acknowledgement, the operation may come again after the next opening; `acked_durable` shows
    /// that.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        const Result<BytesView> body = front();
        if (!body) return std::nullopt;
        std::optional<Bytes> taken{std::in_place, body->begin(), body->end()};
        // An acknowledgement that failed may be durable all the same. If the operation were then
        // not returned, it would be lost.
        static_cast<void>(ack());
        return taken;
    }
    /// Returns the oldest operation.
    ///
    /// Errors: queue_empty; the error of `failed`, because the operation could not be acknowledged;
    /// otherwise as `read`.
    [[nodiscard]] Result<BytesView> front() {
        if (const std::error_code error = failed()) return error;
        if (size() == 0) return make_error_code(QueueErrc::queue_empty);
        return read(base());
    }
    /// Acknowledges the oldest operation.   Pre: there is one.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "Journal::ack: the journal must not be empty");
        return ack(base());
    }
    /// Has no effect: an operation stays first until it is acknowledged.
    void nack() noexcept {}
    [[nodiscard]] std::size_t size() const noexcept {
        const std::uint64_t acked = log_->acked();
        return static_cast<std::size_t>(log_->last() - acked);
    }
    /// Returns no_limit: the disk is the limit.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

private:
    using Log = detail::JournalLog<FileSystem>;

    Journal(detail::Ref<Log> log, std::vector<detail::Opening> runs, JournalReport report)
        : log_{std::move(log)}, reader_{std::move(runs)}, report_{std::move(report)} {}

    void close() noexcept {
        if (log_) log_->close();
        log_.reset();
    }

    detail::Ref<Log> log_;  // the only reference to it
    detail::JournalReader<FileSystem> reader_;
    JournalReport report_;
};

}}  // namespace belay
