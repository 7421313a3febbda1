// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/group_writer.hpp
/// GroupWriter: one file to which many threads append; one flush serves all of them.
#pragma once

#include <array>    // std::array
#include <atomic>   // std::atomic
#include <chrono>   // std::chrono::milliseconds
#include <cstdint>  // std::uint32_t, std::uint8_t
#include <cstring>  // std::memcpy
#include <utility>  // std::exchange

#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/advised_error.hpp>
#include <belay/journal/detail/record_buffer.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Threads that a flush has served return shortly after the next flush has begun, so each flush
/// would serve only half of them. Therefore a thread that is about to flush first yields, until as
/// many threads wait as at the end of the last flush.
///
/// A thread yields once before each flush, for half of the time that the last flush took, at most
/// 50 ms. The last yield may exceed that. The limit of 50 ms is there because a flush that a disk
/// has delayed for a minute does not predict the next one.
///
/// If yielding was in vain, some flushes skip it, twice as many each time, because there is no
/// other thread to wait for. If a yield took several times as long as a flush, the maximum number
/// of flushes skip it at once. Other programs use the processors then, and each yield takes
/// milliseconds.
///
/// Thread safety: none; call it under the writer's lock.
class FlushGroup {
public:
    /// Returns how many threads wait for a flush that has not begun.
    [[nodiscard]] std::uint32_t waiting() const noexcept { return waiting_; }
    void join() noexcept { ++waiting_; }

    /// Returns whether a thread that is about to flush should yield, or wait for the thread that
    /// does.
    [[nodiscard]] bool more_are_expected() const noexcept {
        return waiting_ < expected_ && yield_ != YieldState::over;
    }
    /// Returns whether a thread is yielding. It writes afterwards, unless another thread does
    /// first.
    [[nodiscard]] bool is_yielding() const noexcept { return yield_ == YieldState::yielding; }
    /// Returns the maximum time to yield.
    [[nodiscard]] Duration patience() const noexcept { return patience_; }
    /// Records that a thread begins to yield.   Pre: more_are_expected(), !is_yielding().
    void begin_yield() noexcept { yield_ = YieldState::yielding; }
    /// Records that the thread has stopped yielding.
    void end_yield() noexcept { yield_ = YieldState::over; }
    /// Records how long the thread yielded, whichever thread writes now.
    void record_yield(Duration spent) noexcept {
        if (spent < patience_) {
            next_skips_ = 1;
            return;
        }
        const bool is_crowded = spent / 8 > patience_;
        skips_ = next_skips_ = is_crowded ? skips_max : smaller(2 * next_skips_, skips_max);
    }

    /// Records that a thread begins to write.
    void begin_writing() noexcept { yield_ = YieldState::over; }
    /// Begins a flush to the medium for all threads that wait.   Returns: how many.
    [[nodiscard]] std::uint32_t begin_flush() noexcept { return std::exchange(waiting_, 0U); }
    /// Records a flush that succeeded for `served` threads.
    void flushed(std::uint32_t served, Duration taken) noexcept {
        expect(served + waiting_);
        patience_ = smaller<Duration>(taken / 2, patience_max);
        if (skips_ == 0) return;
        --skips_;
        yield_ = YieldState::over;
    }
    /// Expects no threads before the next flush, because the last one failed, and each waiting
    /// thread tries for itself.
    void reset_expected() noexcept { expect(0); }
    /// Records that the data of all waiting threads was flushed in another way.
    void all_served() noexcept { expect(std::exchange(waiting_, 0U)); }

private:
    enum class YieldState : std::uint8_t {
        not_yielded,  // no thread has yielded since the last flush
        yielding,     // a thread is yielding
        over          // the next thread writes
    };
    static constexpr std::uint32_t skips_max = 64;
    static constexpr std::chrono::milliseconds patience_max{50};

    void expect(std::uint32_t count) noexcept {
        expected_ = count;
        yield_ = YieldState::not_yielded;
    }

    YieldState yield_ = YieldState::not_yielded;
    std::uint32_t waiting_ = 0;
    std::uint32_t expected_ = 0;    // threads before the next flush
    std::uint32_t skips_ = 0;       // flushes without a yield
    std::uint32_t next_skips_ = 1;  // half of the number after the next yield in vain
    Duration patience_{};
};

/// The segment and the run of records.
struct RecordOrigin {
    std::uint32_t nonce;
    std::uint32_t run;
};

/// Threads put records into one buffer under a short lock. The first thread that needs its records
/// on the disk writes and flushes the whole buffer. It holds no lock meanwhile, and serves all
/// records put until then. The other threads wait until the number of flushes changes. Before a
/// flush, its thread yields for a moment if more threads are expected (FlushGroup).
///
/// Thread safety: the first group of functions: any thread. All others: while a Guard is held.
/// Functions marked "Unlocks" release the lock for a while.
template <class File>
class GroupWriter {
public:
    /// Writes to `file` from `offset` on. `last` is the number of the last operation before that.
    GroupWriter(File file, std::uint32_t offset, std::uint64_t last, std::size_t buffer_bytes,
                Flush mode, RecordOrigin origin)
        : file_{std::move(file)},
          buffer_{buffer_bytes},
          buffer_offset_{offset},
          origin_{origin},
          mode_{mode},
          last_{last},
          durable_{last} {}

    /// Holds the lock for a scope.
    class Guard {
    public:
        explicit Guard(GroupWriter& writer) noexcept : writer_{writer} { writer_.mutex_.lock(); }
        ~Guard() { writer_.unlock(); }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;

    private:
        GroupWriter& writer_;
    };

    [[nodiscard]] std::uint64_t last() const noexcept {
        return last_.load(std::memory_order_acquire);
    }
    [[nodiscard]] std::uint64_t durable() const noexcept {
        return durable_.load(std::memory_order_acquire);
    }

    // ---- putting --------------------------------------------------------------------------------

    /// Returns the failure after which nothing more is written.
    [[nodiscard]] const std::error_code& failed() const noexcept { return failed_; }
    /// Returns whether anything that was put may not be on the medium.
    [[nodiscard]] bool unflushed() const noexcept { return synced_position_ < position_; }
    /// Returns how many threads wait for a flush that has not begun.
    [[nodiscard]] std::uint32_t waiting() const noexcept { return group_.waiting(); }
    /// Returns whether another thread is writing.
    [[nodiscard]] bool writing() const noexcept { return writing_; }
    [[nodiscard]] bool has_space(std::size_t bytes) const noexcept {
        // In Flush::each nothing is put after a record that is being written, because that record
        // may be removed again.
        return !exclusive_ && !(mode_ == Flush::each && writing_) && buffer_.fits(bytes);
    }
    /// Returns whether Flush::none has buffered so much that it is written without a request.
    [[nodiscard]] bool write_is_due() const noexcept {
        return mode_ == Flush::none && buffer_.size() >= write_bytes && !writing_;
    }
    /// Returns the position of the next record in the file.
    [[nodiscard]] std::uint32_t end_offset() const noexcept {
        return buffer_offset_ + static_cast<std::uint32_t>(buffer_.size());
    }
    /// From here on, records are of this run.
    void begin_run(std::uint32_t run) noexcept { origin_.run = run; }
    /// Returns a record's header, which includes how much is known to be on the medium.
    [[nodiscard]] journal_format::RecordHeader header(journal_format::Kind kind,
                                                      std::uint64_t number) const noexcept {
        journal_format::RecordHeader h;
        h.number = number;
        h.durable = synced_offset_;
        h.kind = kind;
        h.run = journal_format::run_in_record(origin_.run);
        return h;
    }
    /// Puts a record.   Pre: has_space(record_bytes(payload.size())).
    void put(journal_format::Kind kind, std::uint64_t number, BytesView payload,
             std::uint32_t payload_crc) noexcept {
        buffer_.put(header(kind, number), payload, payload_crc, seed_at(end_offset()));
        position_ += journal_format::record_bytes(payload.size());
        if (kind == journal_format::Kind::operation) {
            last_.store(number, std::memory_order_release);
        }
    }

    /// Puts a record and reports whether it was accepted. In Flush::each, success means that the
    /// record is on the medium; until then no other thread puts a record or sees the number.
    /// Unlocks in that mode.
    ///
    /// Errors: in Flush::each as `flush`, and the record was not put.   Pre: as `put`.
    [[nodiscard]] std::error_code add(journal_format::Kind kind, std::uint64_t number,
                                      BytesView payload, std::uint32_t payload_crc) {
        if (mode_ != Flush::each) {
            put(kind, number, payload, payload_crc);
            return {};
        }
        const std::size_t bytes = journal_format::record_bytes(payload.size());
        buffer_.put(header(kind, number), payload, payload_crc, seed_at(end_offset()));
        position_ += bytes;
        exclusive_ = true;
        const std::error_code error = flush(true);
        if (error && !failed_)
            take_back(bytes);
        else if (error)
            buffer_.drop_back(bytes);  // recover() erases it in the file
        exclusive_ = false;
        if (error) return failed_ ? failed_ : error;
        if (kind == journal_format::Kind::operation) {
            last_.store(number, std::memory_order_release);
            durable_.store(number, std::memory_order_release);
        }
        return {};
    }

    // ---- writing --------------------------------------------------------------------------------

    /// Writes the buffer and, if `to_disk`, flushes the file. Unlocks: records put meanwhile follow
    /// the bytes that are being written.   Pre: !writing().
    ///
    /// Errors: those of `File::look`, and no space for the write: the buffer still has everything,
    /// and may be written later. After any other error, also no space in the sync, the content of
    /// the medium is unknown, and the writer has failed. The buffer has everything then, too.
    std::error_code flush(bool to_disk) {
        BELAY_INVARIANT(!writing_, "GroupWriter::flush: only one writer may run at a time");
        begin_writing();
        const std::uint32_t served = to_disk ? group_.begin_flush() : 0;
        const BytesView bytes = buffer_.bytes();
        const std::uint64_t position = position_;
        const std::uint64_t last_number = last();
        const bool looks = !ends_;
        unlock();
        // Looks before the write, so that an error changes nothing. A change between the look and
        // the flush is no worse than one right after the result.
        std::error_code error = looks ? file_.look() : std::error_code{};
        const bool found = !error;
        if (found && !bytes.empty()) error = file_.write(buffer_offset_, bytes);
        const bool written = !error;
        Duration taken{};
        if (written && to_disk) error = file_.sync(taken);
        if (!error && !to_disk) unsynced_crc_ = part::crc32c(bytes, unsynced_crc_);
        mutex_.lock();
        if (!error) {
            buffer_.drop_front(bytes.size());
            buffer_offset_ += static_cast<std::uint32_t>(bytes.size());
            written_position_ = position;
        }
        if (to_disk && !error) {
            synced_offset_ = buffer_offset_;
            unsynced_crc_ = 0;
            synced_position_ = position;
            group_.flushed(served, taken);
        } else if (to_disk) {
            group_.reset_expected();
        }
        if (!error && (to_disk || mode_ == Flush::none)) {
            durable_.store(last_number, std::memory_order_release);
        }
        if (error && found && (written || !is_lack_of_space(error))) failed_ = error;
        end_writing();
        return error;
    }

    /// Opens the file again after a failure, and writes again what is not known to be on the
    /// medium. The buffer has the rest, for the next flush. Unlocks.
    ///
    /// A failed flush may have dropped earlier writes, so they are read back, and must be the same.
    /// Returns: the failure, if the writer is still failed.
    std::error_code recover() {
        while (writing_) wait_for_writer();
        if (!failed_) return {};
        begin_exclusive();
        Bytes earlier(buffer_offset_ - synced_offset_);
        unlock();
        const std::error_code error = write_again(earlier);
        mutex_.lock();
        if (!error) {
            failed_ = {};
            synced_offset_ = buffer_offset_;
            unsynced_crc_ = 0;
        }
        end_exclusive({});
        return failed_;
    }

    /// Begins the end of the writer. From here on it waits for no other threads, and writes to the
    /// file wherever that is now, so that nothing is left out.
    void begin_end() noexcept { ends_ = true; }
    /// Checks the file as `flush` does. Unlocks.
    [[nodiscard]] std::error_code look() noexcept {
        while (writing_) wait_for_writer();
        begin_writing();
        unlock();
        const std::error_code error = file_.look();
        mutex_.lock();
        end_writing();
        return error;
    }
    /// The same.   Pre: exclusive, without the lock.
    [[nodiscard]] std::error_code look_exclusively() const noexcept { return file_.look(); }

    /// Returns when everything put so far is written or, if `to_disk`, on the medium. Unlocks.
    std::error_code write_all(bool to_disk) {
        if (failed_) return failed_;
        const std::uint64_t position = position_;
        if (to_disk && synced_position_ < position) group_.join();
        while ((to_disk ? synced_position_ : written_position_) < position) {
            if (failed_) return failed_;
            if (writing_) {
                wait_for_writer();
            } else if (to_disk && more_are_expected()) {
                give_way();
            } else if (const std::error_code error = flush(to_disk)) {
                return error;
            }
        }
        return {};
    }

    /// Waits until the thread that writes, or will write, is done. Unlocks.   Pre: there is one.
    void wait_for_writer() noexcept {
        const std::uint32_t turn = turns_.load(std::memory_order_relaxed);
        unlock();
        wait_while(turns_, turn, std::memory_order_acquire);
        mutex_.lock();
    }

    /// Unlocks within the scope of a Guard.   Post: only `relock` locks again.
    void unlock() noexcept {
        // Wakes waiting threads after the lock is free, because otherwise they would only queue for
        // it.
        const bool wake = std::exchange(wake_, false);
        mutex_.unlock();
        if (wake) turns_.notify_all();
    }
    void relock() noexcept { mutex_.lock(); }

    // ---- changing the file ----------------------------------------------------------------------

    /// From here to `end_exclusive` no other thread puts or writes, with or without the lock.
    ///
    /// Pre: !writing().
    void begin_exclusive() noexcept {
        BELAY_INVARIANT(!writing_,
                        "GroupWriter::begin_exclusive: only one writer may run at a time");
        begin_writing();
        exclusive_ = true;
    }
    /// Ends the exclusive use. `fatal` is the error by which the writer has failed, if any.
    void end_exclusive(const std::error_code& fatal) noexcept {
        if (fatal) failed_ = fatal;
        exclusive_ = false;
        end_writing();
    }
    /// Writes the rest of the buffer, then a seal, and flushes.   Pre: exclusive.
    ///
    /// Sets `fatal` if the content of the medium is then unknown.
    std::error_code finish_file(BytesView seal, bool& fatal) {
        RecordBuffer record{journal_format::record_bytes(seal.size())};
        record.put(header(journal_format::Kind::seal, last()), seal, part::crc32c(seal),
                   seed_at(end_offset()));
        std::error_code error;
        if (buffer_.size() != 0) error = file_.write(buffer_offset_, buffer_.bytes());
        if (!error) error = file_.write(end_offset(), record.bytes());
        fatal = error && !is_lack_of_space(error);
        if (!error) {
            error = file_.sync();
            fatal = static_cast<bool>(error);
        }
        return error;
    }
    /// Continues in another file, of which everything below `offset` is on the medium.
    ///
    /// Pre: exclusive, and the file was finished.
    void replace_file(File file, std::uint32_t offset, RecordOrigin origin) {
        file_ = std::move(file);
        origin_ = origin;
        buffer_.drop_front(buffer_.size());
        buffer_offset_ = synced_offset_ = offset;
        unsynced_crc_ = 0;
        written_position_ = synced_position_ = position_;
        group_.all_served();
        durable_.store(last(), std::memory_order_release);
    }
    /// Overwrites stale bytes after the end. They were written before, so this needs no new space.
    std::error_code clear(std::uint64_t to) {
        static constexpr std::byte zeros[4096]{};
        std::error_code error;
        for (std::uint64_t at = end_offset(); at < to && !error; at += sizeof zeros) {
            const std::uint64_t left = to - at;
            error = file_.write(
                at, {zeros, left < sizeof zeros ? static_cast<std::size_t>(left) : sizeof zeros});
        }
        return error;
    }

    /// Overwrites the record at `offset`, and flushes. It flushes everything else before, so a
    /// power loss may destroy only the overwritten bytes.   Pre: at opening; nothing was put yet.
    [[nodiscard]] std::error_code overwrite(std::uint32_t offset, journal_format::Kind kind,
                                            std::uint64_t number, BytesView payload) {
        RecordBuffer record{journal_format::record_bytes(payload.size())};
        record.put(header(kind, number), payload, part::crc32c(payload), seed_at(offset));
        std::error_code error = file_.sync();
        if (!error) error = file_.write(offset, record.bytes());
        if (!error) error = file_.sync();
        if (error) return failed_ = error;
        synced_offset_ = buffer_offset_;
        return {};
    }

    // ---- for readers ----------------------------------------------------------------------------

    /// Returns how far the file can be read.
    [[nodiscard]] std::uint32_t written_offset() const noexcept { return buffer_offset_; }
    /// Copies the unwritten bytes from `offset` on to `into`, and shortens `into` if they end
    /// earlier.
    /// Returns: false if they were written in the meantime.
    [[nodiscard]] bool copy_unwritten(std::uint32_t offset, Bytes& into) const noexcept {
        if (offset < buffer_offset_) return false;
        const BytesView all = buffer_.bytes();
        // A record that a reader has found may have been removed again since.
        const BytesView from =
            all.subspan(smaller<std::size_t>(offset - buffer_offset_, all.size()));
        into.resize(from.size() < into.size() ? from.size() : into.size());
        if (!into.empty()) std::memcpy(into.data(), from.data(), into.size());
        return true;
    }

private:
    static constexpr std::size_t write_bytes = std::size_t{64} << 10;
    using FileSystem = typename File::FileSystem;

    [[nodiscard]] std::uint32_t seed_at(std::uint32_t offset) const noexcept {
        return journal_format::record_seed(origin_.nonce, offset);
    }
    void begin_writing() noexcept {
        writing_ = true;
        group_.begin_writing();
    }
    /// In Flush::each no thread waits for others.
    [[nodiscard]] bool more_are_expected() const noexcept {
        return GivesWay<FileSystem> && mode_ != Flush::each && !ends_ && group_.more_are_expected();
    }
    /// Yields to the expected threads; the last of them flushes. Unlocks.
    void give_way() noexcept {
        if constexpr (GivesWay<FileSystem>) {
            if (group_.is_yielding()) return wait_for_writer();
            group_.begin_yield();
            // Another thread may write and finish meanwhile, and a third thread may yield.
            const std::uint32_t turn = turns_.load(std::memory_order_relaxed);
            const auto is_own = [&] { return group_.is_yielding() && turn == turns_.load(); };
            const Duration patience = group_.patience();
            FileSystem& fs = file_.file_system();
            const Instant begin = fs.now();
            Duration spent{};
            do {
                unlock();
                fs.yield();
                spent = elapsed(begin, fs.now());
                mutex_.lock();
            } while (spent < patience && is_own() && group_.more_are_expected());
            group_.record_yield(spent);
            if (is_own()) group_.end_yield();
        }
    }

    /// Removes the last record, for which there was no space. Unlocks.   Pre: exclusive_.
    ///
    /// `position_` does not change, because other threads wait for it.
    void take_back(std::size_t bytes) {
        buffer_.drop_back(bytes);
        const std::uint32_t offset = end_offset();
        begin_writing();
        unlock();
        const std::error_code error = erase_header(offset);
        mutex_.lock();
        failed_ = error;
        end_writing();
    }
    /// Writes the bytes before the buffer again. Erases the header after it, which may be that of a
    /// record that was not accepted, or of a seal.   Pre: exclusive, without the lock.
    std::error_code write_again(std::span<std::byte> earlier) {
        std::error_code error = file_.reopen();
        if (!error && !earlier.empty()) {
            const Result<std::size_t> got = file_.read(synced_offset_, earlier);
            if (!got) return got.error();
            if (*got != earlier.size() || part::crc32c(earlier) != unsynced_crc_) {
                return QueueErrc::corrupt;
            }
            error = file_.write(synced_offset_, earlier);
        }
        if (!error) error = erase_header(end_offset());
        return error ? error : file_.sync();
    }
    /// Erases the header at `offset`. A partly written record that ends with zeros is complete,
    /// because the file has zeros there already.
    std::error_code erase_header(std::uint32_t offset) {
        constexpr std::array<std::byte, journal_format::record_header_bytes> none{};
        auto header = none;
        const Result<std::size_t> got = file_.read(offset, header);
        if (!got) return got.error();
        // An absent header needs no write, which might fail for lack of space too.
        if (header == none) return {};
        const std::error_code error = file_.write(offset, BytesView{none}.first(*got));
        return error ? error : file_.sync();
    }

    void end_writing() noexcept {
        writing_ = false;
        wake_ = true;
        turns_.fetch_add(1, std::memory_order_release);
    }

    detail::SpinMutex mutex_;  // guards the members below
    File file_;
    RecordBuffer buffer_;          // bytes not written yet
    std::uint32_t buffer_offset_;  // their position in the file
    RecordOrigin origin_;          // of the next record
    // Everything in the file below it is on the medium. This excludes bytes that an opening has
    // read, which may be only in the system's memory until the first flush.
    std::uint32_t synced_offset_ = journal_format::segment_header_bytes;
    std::uint32_t unsynced_crc_ = 0;  // of the bytes from there to buffer_offset_
    std::uint64_t position_ = 0;      // bytes put, in all files
    std::uint64_t written_position_ = 0;
    std::uint64_t synced_position_ = 0;
    const Flush mode_;
    bool writing_ = false;    // a thread writes, without the lock
    bool exclusive_ = false;  // that thread also changes the file
    bool ends_ = false;       // no check that the file is still at its path
    bool wake_ = false;
    FlushGroup group_;
    std::error_code failed_;
    std::atomic<std::uint32_t> turns_{0};  // flushes that ended
    std::atomic<std::uint64_t> last_;      // operation put
    std::atomic<std::uint64_t> durable_;   // operation on the medium
};

}}}  // namespace belay::detail
