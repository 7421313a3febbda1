// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/group_writer.hpp
/// GroupWriter: one file to which many threads append, and one flush that serves all of them.
#pragma once

#include <array>    // std::array
#include <atomic>   // std::atomic
#include <cstring>  // std::memcpy
#include <utility>  // std::exchange

#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/detail/file_advice.hpp>
#include <belay/journal/detail/flush_group.hpp>
#include <belay/journal/detail/record_buffer.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_error.hpp>
#include <belay/journal/journal_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Threads put records under a short lock into one buffer. Whoever needs its records on the disk
/// first writes and flushes the whole buffer without the lock, for everyone who came until then;
/// the others wait for the number of flushes to move. Before a flush its thread gives way
/// for a moment, where more are expected (FlushGroup).
///
/// Thread safety: the first group any thread; all else while a Guard is held, which some of them
///                let go of for a while, and say so ("lets go").
template <class File>
class GroupWriter {
public:
    /// Writes to `file` from `offset` on; operation `last` was the last one before.
    GroupWriter(File file, std::uint32_t offset, std::uint64_t last, std::size_t buffer_bytes,
                Flush mode)
        : file_{std::move(file)},
          buffer_{buffer_bytes},
          buffer_offset_{offset},
          mode_{mode},
          last_{last},
          durable_{last} {}
    GroupWriter(const GroupWriter&) = delete;
    GroupWriter& operator=(const GroupWriter&) = delete;

    /// The lock, for a scope.
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

    /// The failure after which nothing more is written.
    [[nodiscard]] const std::error_code& failed() const noexcept { return failed_; }
    /// Whether something that was put may not be on the medium.
    [[nodiscard]] bool unflushed() const noexcept { return synced_position_ < position_; }
    /// How many wait for a flush that has not begun.
    [[nodiscard]] std::uint32_t waiting() const noexcept { return group_.waiting(); }
    /// Whether another thread writes now.
    [[nodiscard]] bool writing() const noexcept { return writing_; }
    [[nodiscard]] bool has_space(std::size_t bytes) const noexcept {
        // In Flush::each nothing is put behind what is being written: it may be taken back.
        return !exclusive_ && !(mode_ == Flush::each && writing_) && buffer_.fits(bytes);
    }
    /// Whether so much waits in Flush::none that it should be written without being asked for.
    [[nodiscard]] bool write_is_due() const noexcept {
        return mode_ == Flush::none && buffer_.size() >= write_bytes && !writing_;
    }
    /// Where in the file the next record goes.
    [[nodiscard]] std::uint32_t end_offset() const noexcept {
        return buffer_offset_ + static_cast<std::uint32_t>(buffer_.size());
    }
    /// A record's header, with what is known to be on the medium.
    [[nodiscard]] journal_format::RecordHeader header(journal_format::Kind kind,
                                                      std::uint64_t number) const noexcept {
        journal_format::RecordHeader h;
        h.number = number;
        h.durable = synced_offset_;
        h.kind = kind;
        return h;
    }
    /// Pre: has_space(record_bytes(payload.size())).
    void put(journal_format::Kind kind, std::uint64_t number, BytesView payload,
             std::uint32_t payload_crc, std::uint32_t seed) noexcept {
        buffer_.put(header(kind, number), payload, payload_crc, seed);
        position_ += journal_format::record_bytes(payload.size());
        if (kind == journal_format::Kind::operation) {
            last_.store(number, std::memory_order_release);
        }
    }

    /// Puts a record whose caller is told whether it was taken: in Flush::each it is on the medium
    /// after no error, and nobody puts or sees the number before. Lets go then.
    ///
    /// Errors: in Flush::each as `flush`, and the record was not put.   Pre: as `put`.
    [[nodiscard]] std::error_code add(journal_format::Kind kind, std::uint64_t number,
                                      BytesView payload, std::uint32_t payload_crc,
                                      std::uint32_t seed) {
        if (mode_ != Flush::each) {
            put(kind, number, payload, payload_crc, seed);
            return {};
        }
        const std::size_t bytes = journal_format::record_bytes(payload.size());
        buffer_.put(header(kind, number), payload, payload_crc, seed);
        position_ += bytes;
        exclusive_ = true;
        const std::error_code error = flush(true);
        if (error && !failed_) take_back(bytes);
        exclusive_ = false;
        if (error) return failed_ ? failed_ : error;
        if (kind == journal_format::Kind::operation) {
            last_.store(number, std::memory_order_release);
            durable_.store(number, std::memory_order_release);
        }
        return {};
    }

    // ---- writing --------------------------------------------------------------------------------

    /// Writes the buffer and, if asked to, flushes the file. Lets go: what is put meanwhile goes
    /// behind what is being written.   Pre: !writing().
    ///
    /// Errors: those of `File::look`, no space: the buffer still has everything, and may be written
    ///         later. After any other nobody knows what is on the medium, and the writer has
    ///         failed.
    std::error_code flush(bool to_disk) {
        BELAY_INVARIANT(!writing_, "GroupWriter::flush: one writer at a time");
        begin_writing();
        const std::uint32_t served = to_disk ? group_.begin_flush() : 0;
        const BytesView bytes = buffer_.bytes();
        const std::uint64_t position = position_;
        const std::uint64_t last_number = last();
        const bool looks = !ends_;
        unlock();
        // Before it is written, so that an error changes nothing: to come between it and the flush
        // is no worse than to come right after the answer.
        std::error_code error = looks ? file_.look() : std::error_code{};
        const bool found = !error;
        if (found && !bytes.empty()) error = file_.write(buffer_offset_, bytes);
        const bool written = !error;
        Duration taken{};
        if (written && to_disk) error = file_.sync(taken);
        mutex_.lock();
        if (written) {
            buffer_.drop_front(bytes.size());
            buffer_offset_ += static_cast<std::uint32_t>(bytes.size());
            written_position_ = position;
        }
        if (written && to_disk && !error) {
            synced_offset_ = buffer_offset_;
            synced_position_ = position;
            group_.flushed(served, taken);
        } else if (to_disk) {
            group_.flush_failed();
        }
        if (!error && (to_disk || mode_ == Flush::none)) {
            durable_.store(last_number, std::memory_order_release);
        }
        if (error && found && (written || !is_lack_of_space(error))) failed_ = error;
        end_writing();
        return error;
    }

    /// From here on it is written where the file is now, that nothing is left out, and nobody is
    /// waited for.
    void begin_end() noexcept { ends_ = true; }
    /// As `flush` looks. Lets go.
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

    /// Returns when everything put so far is written or, if asked for, on the medium. Lets go.
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

    /// Waits until the thread that writes, or will, is done. Lets go.   Pre: there is one.
    void wait_for_writer() noexcept {
        const std::uint32_t turn = turns_.load(std::memory_order_relaxed);
        unlock();
        turns_.wait(turn, std::memory_order_acquire);
        mutex_.lock();
    }

    /// Lets go, without the scope's end.   Post: the lock is held by `relock` only.
    void unlock() noexcept {
        // Those who wait are woken when the lock is free: else they would only queue up at it.
        const bool wake = std::exchange(wake_, false);
        mutex_.unlock();
        if (wake) turns_.notify_all();
    }
    void relock() noexcept { mutex_.lock(); }

    // ---- changing the file ----------------------------------------------------------------------

    /// From here to `end_exclusive` nobody puts or writes, with or without the lock.
    ///
    /// Pre: !writing().
    void begin_exclusive() noexcept {
        BELAY_INVARIANT(!writing_, "GroupWriter::begin_exclusive: one writer at a time");
        begin_writing();
        exclusive_ = true;
    }
    /// `fatal`: what the writer has failed by, if it has.
    void end_exclusive(const std::error_code& fatal) noexcept {
        if (fatal) failed_ = fatal;
        exclusive_ = false;
        end_writing();
    }
    /// Writes what is left, and `more` behind it, and flushes.   Pre: exclusive.
    ///
    /// `fatal` is set if it is not known what is on the medium now.
    std::error_code finish_file(BytesView more, bool& fatal) {
        std::error_code error;
        if (buffer_.size() != 0) error = file_.write(buffer_offset_, buffer_.bytes());
        if (!error) error = file_.write(end_offset(), more);
        fatal = error && !is_lack_of_space(error);
        if (!error) {
            error = file_.sync();
            fatal = static_cast<bool>(error);
        }
        return error;
    }
    /// Goes on in another file, of which everything below `offset` is on the medium.
    ///
    /// Pre: exclusive, and the file was finished.
    void replace_file(File file, std::uint32_t offset) {
        file_ = std::move(file);
        buffer_.drop_front(buffer_.size());
        buffer_offset_ = synced_offset_ = offset;
        written_position_ = synced_position_ = position_;
        group_.all_served();
        durable_.store(last(), std::memory_order_release);
    }
    /// Overwrites stale bytes behind the end. They were written once: it needs no new space.
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

    /// Writes a record over the one at `offset`, and flushes. All else is flushed before: a power
    /// loss may take what is overwritten, and nothing else.   Pre: at opening; nothing was put yet.
    [[nodiscard]] std::error_code overwrite(std::uint32_t offset, journal_format::Kind kind,
                                            std::uint64_t number, BytesView payload,
                                            std::uint32_t seed) {
        RecordBuffer record{journal_format::record_bytes(payload.size())};
        record.put(header(kind, number), payload, crc32c(payload), seed);
        std::error_code error = file_.sync();
        if (!error) error = file_.write(offset, record.bytes());
        if (!error) error = file_.sync();
        if (error) return failed_ = error;
        synced_offset_ = buffer_offset_;
        return {};
    }

    // ---- for readers ----------------------------------------------------------------------------

    /// How far the file can be read.
    [[nodiscard]] std::uint32_t written_offset() const noexcept { return buffer_offset_; }
    /// Fills `into` with what is not written yet from `offset` on, and makes it shorter where that
    /// ends.   Returns: false if it was written in the meantime.
    [[nodiscard]] bool copy_unwritten(std::uint32_t offset, Bytes& into) const noexcept {
        if (offset < buffer_offset_) return false;
        const BytesView all = buffer_.bytes();
        // What a reader knows to be there may have been taken back since.
        const BytesView from =
            all.subspan(smaller<std::size_t>(offset - buffer_offset_, all.size()));
        into.resize(from.size() < into.size() ? from.size() : into.size());
        if (!into.empty()) std::memcpy(into.data(), from.data(), into.size());
        return true;
    }

private:
    static constexpr std::size_t write_bytes = std::size_t{64} << 10;
    using FileSystem = typename File::FileSystem;

    void begin_writing() noexcept {
        writing_ = true;
        group_.begin_writing();
    }
    /// In Flush::each nobody waits for others.
    [[nodiscard]] bool more_are_expected() const noexcept {
        return GivesWay<FileSystem> && mode_ != Flush::each && !ends_ && group_.more_are_expected();
    }
    /// Lets those come who are expected; who comes last of them flushes. Lets go.
    void give_way() noexcept {
        if constexpr (GivesWay<FileSystem>) {
            if (group_.gives_way()) return wait_for_writer();
            group_.begin_to_give_way();
            // Another thread may write meanwhile, and be done, and a third one give way.
            const std::uint32_t turn = turns_.load(std::memory_order_relaxed);
            const auto is_own = [&] { return group_.gives_way() && turn == turns_.load(); };
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
            group_.gave_way(spent);
            if (is_own()) group_.give_way_no_more();
        }
    }

    /// Takes back the last record, for which there was no space. Lets go.   Pre: exclusive_.
    ///
    /// `position_` stays: others wait by it.
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
    /// A part of a record is the whole of it if it ends with zeros, which stand there already.
    std::error_code erase_header(std::uint32_t offset) {
        constexpr std::array<std::byte, journal_format::record_header_bytes> none{};
        auto header = none;
        const Result<std::size_t> got = file_.read(offset, header);
        if (!got) return got.error();
        // What is not there needs no write, which might find no space either.
        if (header == none) return {};
        const std::error_code error = file_.write(offset, BytesView{none}.first(*got));
        return error ? error : file_.sync();
    }

    void end_writing() noexcept {
        writing_ = false;
        wake_ = true;
        turns_.fetch_add(1, std::memory_order_release);
    }

    detail::SpinMutex mutex_;  // guards what follows
    File file_;
    RecordBuffer buffer_;          // what is not written yet
    std::uint32_t buffer_offset_;  // where in the file it goes
    // All of the file below it is on the medium. Not so what an opening reads: that may be in the
    // system's memory only, until the first flush.
    std::uint32_t synced_offset_ = journal_format::segment_header_bytes;
    std::uint64_t position_ = 0;  // bytes put, in all files
    std::uint64_t written_position_ = 0;
    std::uint64_t synced_position_ = 0;
    const Flush mode_;
    bool writing_ = false;    // a thread writes, without the lock
    bool exclusive_ = false;  // and changes the file
    bool ends_ = false;       // it does not look whether the file is where it was
    bool wake_ = false;
    FlushGroup group_;
    std::error_code failed_;
    std::atomic<std::uint32_t> turns_{0};  // flushes that ended
    std::atomic<std::uint64_t> last_;      // operation put
    std::atomic<std::uint64_t> durable_;   // operation on the medium
};

}}}  // namespace belay::detail
