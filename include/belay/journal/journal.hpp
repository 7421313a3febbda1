// SPDX-License-Identifier: MIT
/// \file belay/journal/journal.hpp
/// Journal: a queue of operations in files, that survives crashes and loses nothing durable.
#pragma once

#include <optional>  // std::optional

#include <belay/journal/detail/journal_reader.hpp>
#include <belay/journal/detail/journal_recovery.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Operations, numbered from 1, in segment files in a directory of their own.
///
/// `append` takes an operation, `commit` makes it durable, `ack` gives it up. One process, and one
/// object in it, has a journal open at a time. The files are described in docs/journal-format.md,
/// what survives what in docs/journal.md.
///
/// Models:        LeasableLike, LogLike.
/// Thread safety: append, try_push, commit, flush, unflushed, last, durable, base, size, bytes and
///                failed: any thread. The rest: one thread at a time, the owner, at the same time
///                as those. Moving and destroying a journal: alone.
/// Blocks:        append and keep when a segment or the buffer is full, ack when a segment is
///                deleted, commit, flush and pin_store always: on the disk. In Flush::each all of
///                these, always, and appending threads one after the other.
template <FileSystemLike FileSystem>
class Journal {
public:
    using value_type = Bytes;

    /// Opens the journal in directory `path`, or makes one there; begins a run. The file system
    /// must outlive the journal.
    ///
    /// Errors: what, where, and what to do, see JournalError. A journal on a full disk opens,
    ///         unless its last segment has no room for two openings, 64 bytes.
    /// Throws: std::bad_alloc.   Complexity: reads the last segment, and of those before it the
    ///         ends, which have a fifth of a byte for each operation; or all, see `Verify`.
    [[nodiscard]] static Result<Journal, JournalError> open(FileSystem& fs, std::string path,
                                                            JournalOptions options = {}) {
        detail::JournalRecovery<FileSystem> recovery{fs, path, options};
        detail::Ref<Log> log = recovery.open();
        if (!log) return std::move(recovery.error);
        return Journal{std::move(log), std::move(recovery.gathered.runs),
                       std::move(recovery.report)};
    }

    /// The same, for file systems without state.
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
    /// Flushes what was appended and acknowledged, as far as the disk lets it; who must know calls
    /// `commit` before.
    ~Journal() { close(); }

    // ---- numbers --------------------------------------------------------------------------------

    /// Takes an operation; it is durable after the next `commit`, in Flush::each when this returns.
    ///
    /// Errors:     too_large; no space; what `failed` says; displaced, when the disk is written to,
    ///             and the files are not at their path any more. Nothing was taken then; but after
    ///             a failure of the disk in Flush::each, opening the journal again may find it.
    /// Complexity: O(length).   Allocates: when a segment is full.
    [[nodiscard]] Result<std::uint64_t> append(BytesView body) noexcept {
        return log_->append(body);
    }

    /// Makes everything appended before it durable, and what was acknowledged; see `Flush`. One
    /// flush serves all threads that wait for it; before it those are waited for who were served by
    /// the last, for half of the time that that one took at most.
    ///
    /// What was acknowledged waits where there is space for what was appended alone: that is no
    /// error, and `acked_durable` says it.
    /// Errors: no space; displaced: the files are not at their path any more, and what is not
    ///         durable yet may not be found again. Nothing is lost, it may be called again. Those
    ///         of looking at the path, likewise. Others: the journal has failed.
    [[nodiscard]] std::error_code commit() noexcept { return log_->commit(); }

    /// Makes everything appended, kept and acknowledged before it durable, whatever the mode; the
    /// same as `commit`, but in Flush::none.
    ///
    /// Errors: as `commit`.   Blocks: on the disk, unless nothing is new.
    [[nodiscard]] std::error_code flush() noexcept { return log_->commit(true); }

    /// Whether something that was appended or kept may not be on the medium yet, so that `flush`
    /// has something to do. What is only acknowledged may not count.   Complexity: O(1).
    [[nodiscard]] bool unflushed() const noexcept { return log_->unflushed(); }

    /// Keeps a note beside the operations, instead of the one before: what its owner wants to know
    /// after a restart. No bytes: no note.
    ///
    /// It rides with the next `commit`, in Flush::each it is durable when this returns; a crash
    /// before that brings the one before back. It takes room in the files as an operation does, for
    /// as long as the file is needed.
    ///
    /// Errors: too_large, above journal_format::note_bytes_max; no space; what `failed` says. It
    ///         was not taken then.   Complexity: O(length).
    [[nodiscard]] std::error_code keep(BytesView note) noexcept { return log_->keep(note); }
    /// The kept note, until the next `keep`; no bytes if there is none.
    [[nodiscard]] BytesView kept() const noexcept { return log_->kept(); }

    /// An operation's body, until the next call of `read`, `check`, `front`, `ack` or `try_pop`.
    ///
    /// Errors: unknown_number; corrupt; displaced: its file is not at its path any more; those of
    ///         the disk.   Throws: std::bad_alloc.
    /// Complexity: O(length) for the number after the last one read, else at most 64 records are
    ///             looked at. Where one of these is damaged, all bytes of them, once.
    [[nodiscard]] Result<BytesView> read(std::uint64_t number) {
        if (number < base() || number > last()) return make_error_code(QueueErrc::unknown_number);
        return reader_.read(*log_, number);
    }

    /// Gives up everything up to `up_to`. It becomes durable with the next `commit`, at the latest
    /// when a segment file is deleted, in Flush::each when this returns; a crash before that brings
    /// operations back.
    ///
    /// Of files of which everything is acknowledged this call deletes 16 at most; later ones of
    /// `ack` and `commit`, each new file, and opening delete the rest.
    ///
    /// Errors: unknown_number, above `last`; those of deleting a file and, in Flush::each, of the
    ///         flush: the acknowledgement stands, and the next call, also with the same number,
    ///         tries again what is left; what `failed` says.
    [[nodiscard]] std::error_code ack(std::uint64_t up_to) noexcept {
        const std::error_code error = log_->ack(up_to);
        reader_.forget_before(log_->first_kept());
        return error;
    }

    /// The check at `number`, see `next_check`.
    ///
    /// Errors: unknown_number, outside of base() - 1 to last(); as `read`.
    /// Throws: std::bad_alloc.
    /// Complexity: O(1) for last(), else at most 64 records are read.
    [[nodiscard]] Result<std::uint64_t> check(std::uint64_t number) {
        if (number + 1 < base() || number > last()) {
            return make_error_code(QueueErrc::unknown_number);
        }
        return reader_.check(*log_, number);
    }

    /// The salt of the run that appended `number`.   Pre: base() <= number <= last().
    [[nodiscard]] std::uint32_t salt_of(std::uint64_t number) const noexcept {
        BELAY_PRECONDITION(number >= base() && number <= last(),
                           "Journal::salt_of: the journal must hold the number");
        return reader_.run_of(number).salt;
    }

    /// Notes, durably when it returns, to which store the operations go.   Errors: as `append` and
    /// `commit`.
    [[nodiscard]] std::error_code pin_store(const Id& store) noexcept { return log_->pin(store); }

    /// The longest operation that `append` takes: JournalOptions::record_bytes_max.
    [[nodiscard]] std::size_t record_bytes_max() const noexcept {
        return log_->options().record_bytes_max;
    }
    [[nodiscard]] const Id& journal_id() const noexcept { return log_->journal_id(); }
    [[nodiscard]] const Id& store_pin() const noexcept { return log_->store_pin(); }
    [[nodiscard]] std::uint32_t run() const noexcept { return log_->run(); }
    [[nodiscard]] std::uint32_t salt() const noexcept { return log_->salt(); }
    /// The first number that is not acknowledged.
    [[nodiscard]] std::uint64_t base() const noexcept { return log_->acked() + 1; }
    /// The last number that was taken; 0 before the first.
    [[nodiscard]] std::uint64_t last() const noexcept { return log_->last(); }
    /// The last number that is durable in the sense of the mode: with Flush::none the operating
    /// system has it, and only `unflushed` knows of the medium.
    [[nodiscard]] std::uint64_t durable() const noexcept { return log_->durable(); }
    /// The last number whose acknowledgement is known to be durable, likewise.
    [[nodiscard]] std::uint64_t acked_durable() const noexcept { return log_->acked_durable(); }
    /// Bytes of the records in the files, and not written yet. What is acknowledged counts until
    /// its file is deleted.   Complexity: O(1).
    [[nodiscard]] std::uint64_t bytes() const noexcept { return log_->bytes(); }
    /// The failure of the disk after which the journal takes nothing more; opening it again tells
    /// what was saved. No error as long as there was none.
    [[nodiscard]] std::error_code failed() const noexcept { return log_->failed(); }
    /// An error that a call answered, with the directory and what to do.   Throws: std::bad_alloc.
    [[nodiscard]] JournalError explain(std::error_code error) const {
        return {error, log_->path(), 0, {}};
    }
    /// What opening found.
    [[nodiscard]] const RecoveryReport& report() const noexcept { return report_; }

    // ---- as a storage ---------------------------------------------------------------------------

    /// As `append`.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept { return append(body).error(); }
    /// Takes the oldest operation and acknowledges it; nothing if there is none, if the journal has
    /// failed, or it cannot be read, then `front` says why. If the disk fails, or has no space,
    /// while it is acknowledged, it may come again when the journal is opened; `acked_durable`
    /// tells.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        const Result<BytesView> body = front();
        if (!body) return std::nullopt;
        std::optional<Bytes> taken{std::in_place, body->begin(), body->end()};
        // It may be durable all the same: an operation that was not handed out would be lost then.
        static_cast<void>(ack());
        return taken;
    }
    /// The oldest operation.
    ///
    /// Errors: queue_empty; what `failed` says: nobody could acknowledge it; else as `read`.
    [[nodiscard]] Result<BytesView> front() {
        if (const std::error_code error = failed()) return error;
        if (size() == 0) return make_error_code(QueueErrc::queue_empty);
        return read(base());
    }
    /// Acknowledges the oldest operation.   Pre: there is one.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "Journal::ack: there must be an operation");
        return ack(base());
    }
    /// Nothing: an operation is first until it is acknowledged.
    void nack() noexcept {}
    [[nodiscard]] std::size_t size() const noexcept {
        const std::uint64_t acked = log_->acked();
        return static_cast<std::size_t>(log_->last() - acked);
    }
    /// The disk is the limit.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

private:
    using Log = detail::JournalLog<FileSystem>;

    Journal(detail::Ref<Log> log, std::vector<detail::Opening> runs, RecoveryReport report)
        : log_{std::move(log)}, reader_{std::move(runs)}, report_{std::move(report)} {}

    void close() noexcept {
        if (log_) log_->close();
        log_.reset();
    }

    detail::Ref<Log> log_;  // its only reference
    detail::JournalReader<FileSystem> reader_;
    RecoveryReport report_;
};

}}  // namespace belay
