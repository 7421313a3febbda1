// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_log.hpp
/// JournalLog: the writing side of a journal: numbers, segments and acknowledgements.
#pragma once

#include <array>    // std::array
#include <atomic>   // std::atomic
#include <cstring>  // std::memmove

#include <belay/core/detail/memory.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/detail/group_writer.hpp>
#include <belay/journal/detail/journal_scan.hpp>
#include <belay/journal/detail/segment_files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Appends records to the last segment, creates the next one, and deletes the first.
///
/// - A *run* is the time from one opening of the journal to the next.
/// - To *roll* is to continue in a new segment.
/// - The *note* is state of the journal's owner, which `keep` stores and each roll copies.
/// - The *pin* is the id of the store to which the operations go.
///
/// Thread safety: any thread, except functions marked "Owner": one thread at a time.
template <class FileSystem>
class JournalLog : public Counted {
public:
    using File = typename FileSystem::File;
    using Lock = typename FileSystem::Lock;

    /// The run that writes. Its number rises with each opening, and its salt is random.
    struct Run {
        std::uint32_t number;
        std::uint32_t salt;
    };
    /// The state that opening a journal passes to the writing side.
    struct Start {
        Lock lock;
        File file;  // the last segment, for writing
        std::vector<Segment> segments;
        const Gathered& gathered;
        Random bits;
        std::vector<ReleasedFile> undeleted;
    };

    JournalLog(FileSystem& fs, std::string path, const JournalOptions& options, Start start)
        : fs_{fs},
          path_{std::move(path)},
          options_{options},
          lock_{std::move(start.lock)},
          id_{start.segments.front().header.journal},
          index_{std::move(start.segments)},
          run_{start.gathered.run, start.gathered.salt},
          pin_{start.gathered.pin},
          note_{start.gathered.note},
          bits_{start.bits},
          undeleted_{std::move(start.undeleted)},
          acked_{start.gathered.acked},
          acked_noted_{start.gathered.acked},
          acked_durable_{start.gathered.acked},
          writer_{{fs, std::move(start.file), index_.last().file,
                   Files::path_of(path_, index_.last().header.index)},
                  index_.last().end,
                  index_.last().last,
                  larger(buffer_bytes, journal_format::record_bytes(options.record_bytes_max)),
                  options.flush,
                  {index_.last().header.nonce, run_.number}} {
        index_.last().reserve(segment_bytes());
        note_.reserve(journal_format::note_bytes_max);
    }

    // ---- the main operations --------------------------------------------------------------------

    /// Returns the failure of the disk, after an attempt to end it if the options say so.
    [[nodiscard]] std::error_code failed() {
        const Guard guard{writer_};
        return recover();
    }
    [[nodiscard]] Result<std::uint64_t> append(BytesView body) {
        if (body.size() > options_.record_bytes_max) return make_error_code(QueueErrc::too_large);
        const std::uint32_t crc = part::crc32c(body);
        const Guard guard{writer_};
        if (last() >= journal_format::number_max) return make_error_code(QueueErrc::queue_full);
        std::error_code error = recover();
        if (!error) error = make_space(body.size(), Kind::operation);
        const std::uint64_t number = last() + 1;
        const std::uint32_t offset = writer_.end_offset();
        if (!error) error = writer_.add(Kind::operation, number, body, crc);
        if (error) return error;
        Segment& s = index_.last();
        s.add(number, offset);
        s.check = journal_format::next_check(s.check, crc, static_cast<std::uint32_t>(body.size()),
                                             run_.salt);
        // In Flush::none. The result is ignored, because this operation is in the buffer and so
        // accepted. After a lack of space, or while the files are not at their path, a later write
        // tries again. The writer keeps any other error, and commit() returns it.
        if (writer_.write_is_due()) static_cast<void>(writer_.flush(false));
        return number;
    }

    /// Writes everything and, if `to_disk`, flushes it, in every mode.
    [[nodiscard]] std::error_code commit(bool to_disk) {
        const Guard guard{writer_};
        if (const std::error_code failed = recover()) return failed;
        // Includes acknowledgements. If there is no space for them, they wait; operations do not
        // wait for them.
        static_cast<void>(note_ack());
        const std::error_code error = write_all(to_disk);
        if (!error) static_cast<void>(remove_files(files_per_call));
        return error;
    }
    [[nodiscard]] std::error_code commit() { return commit(options_.flush != Flush::none); }

    /// Owner.
    [[nodiscard]] std::error_code keep(BytesView note) {
        if (note.size() > journal_format::note_bytes_max) {
            return make_error_code(QueueErrc::too_large);
        }
        const Guard guard{writer_};
        std::error_code error = recover();
        if (!error) error = make_space(note.size(), Kind::note);
        if (!error) error = writer_.add(Kind::note, 0, note, part::crc32c(note));
        if (error) return error;
        // The new note may be a part of the current one.
        if (note_.size() < note.size()) note_.resize(note.size());
        if (!note.empty()) std::memmove(note_.data(), note.data(), note.size());
        note_.resize(note.size());
        // Notes alone may fill segments. The next acknowledgement deletes what cannot be deleted
        // now.
        if (index_.first_ends_by(acked())) static_cast<void>(release(files_per_call));
        return {};
    }

    /// Owner.
    [[nodiscard]] std::error_code pin(const Id& store) {
        const Guard guard{writer_};
        if (const std::error_code failed = recover()) return failed;
        if (store != pin_) {
            if (const std::error_code error = make_space(store.size(), Kind::pin)) return error;
            writer_.put(Kind::pin, 0, store, part::crc32c(store));
            pin_ = store;
        }
        return writer_.write_all(true);
    }

    /// Owner.
    [[nodiscard]] std::error_code ack(std::uint64_t up_to) {
        const Guard guard{writer_};
        if (const std::error_code failed = recover()) return failed;
        if (up_to > last()) return make_error_code(QueueErrc::unknown_number);
        if (up_to > acked()) acked_.store(up_to, std::memory_order_release);
        const bool frees = index_.given_up() != 0 || index_.first_ends_by(acked());
        if (options_.flush == Flush::each || frees) return release(files_per_call);
        const bool due = acked() - acked_noted_ >= acks_per_note;
        return due && has_space(0, Kind::ack) ? note_ack() : std::error_code{};
    }

    /// Deletes all segments whose operations are all acknowledged, and files that an earlier run
    /// could not delete. Owner; at opening.
    [[nodiscard]] std::error_code release_acked() {
        const Guard guard{writer_};
        const std::error_code error =
            index_.first_ends_by(acked()) ? release(all_files) : std::error_code{};
        // One file that cannot be deleted must not keep the others.
        if (!release_failed_) static_cast<void>(remove_files(all_files, true));
        return error;
    }

    /// Begins `run` with an opening record in this segment. The record replaces the older of two
    /// openings at its end. If there is no space, the run begins in a new segment. Clears up to
    /// `garbage_end`, where the remains of an unfinished write end. Then continues in a new segment
    /// if this one is larger than the options say. Owner; at opening.
    [[nodiscard]] std::error_code begin_run(Run run, std::uint64_t garbage_end) {
        const Guard guard{writer_};
        std::array<std::byte, 4> payload;
        store_le<std::uint32_t>(payload.data(), run.salt);
        const std::uint32_t place = index_.last().older_opening;
        const bool fits = place != 0 || has_space(payload.size(), Kind::opening);
        if (fits) {
            run_ = run;
            writer_.begin_run(run.number);
            index_.last().open_run(run.number, run.salt);
        }
        // Stale bytes after the opening could do no harm, but every later opening would find them.
        std::error_code error = writer_.look();
        if (!error) error = writer_.clear(garbage_end);
        if (!error && place != 0) {
            error = writer_.overwrite(place, Kind::opening, run.number, payload);
        } else if (!error && fits) {
            writer_.put(Kind::opening, run.number, payload, part::crc32c(payload));
            error = writer_.flush(true);
        } else if (!error) {
            // The seal belongs to the last run; the header of the new segment begins the new run.
            error = roll(run);
        }
        run_ = run;
        // A limit of bytes relies on files of the size in the options. Without space for another
        // file, this one is filled first.
        if (!error && segment_bytes() > options_.segment_bytes) {
            static_cast<void>(roll(run));
            error = writer_.failed();
        }
        return error;
    }

    /// Writes the rest, and a mark that lets the next opening distinguish later damage from a
    /// crash. Owner; at the end.
    void close() {
        const Guard guard{writer_};
        static_cast<void>(recover());
        writer_.begin_end();
        static_cast<void>(note_ack());
        if (write_all(options_.flush != Flush::none)) return;
        if (writer_.write_all(true) || !has_space(0, Kind::ack)) return;
        writer_.put(Kind::ack, acked(), {}, 0);
        static_cast<void>(writer_.flush(false));
    }

    // ---- observers ------------------------------------------------------------------------------

    [[nodiscard]] std::uint64_t last() const noexcept { return writer_.last(); }
    [[nodiscard]] std::uint64_t durable() const noexcept { return writer_.durable(); }
    [[nodiscard]] std::uint64_t acked() const noexcept {
        return acked_.load(std::memory_order_acquire);
    }
    [[nodiscard]] std::uint64_t acked_durable() const noexcept {
        const Guard guard{writer_};
        return acked_durable_;
    }
    [[nodiscard]] const JournalOptions& options() const noexcept { return options_; }
    [[nodiscard]] const Id& journal_id() const noexcept { return id_; }
    [[nodiscard]] const Id& store_pin() const noexcept { return pin_; }
    /// Owner.
    [[nodiscard]] BytesView kept() const noexcept { return {note_.data(), note_.size()}; }
    [[nodiscard]] bool unflushed() const noexcept {
        const Guard guard{writer_};
        return writer_.unflushed();
    }
    /// Returns the bytes of the records in all files, written or not, except in files that could
    /// not be released or deleted.
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        const Guard guard{writer_};
        const std::uint64_t stuck = release_failed_ ? index_.bytes_ending_by(acked()) : 0;
        return index_.sealed_bytes() - stuck +
               (writer_.end_offset() - journal_format::segment_header_bytes);
    }
    /// Returns how many files could not be deleted, and will be tried again.
    [[nodiscard]] std::size_t undeleted_files() const noexcept {
        const Guard guard{writer_};
        return undeleted_.size();
    }
    [[nodiscard]] std::uint32_t run() const noexcept { return run_.number; }
    [[nodiscard]] std::uint32_t salt() const noexcept { return run_.salt; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] FileSystem& file_system() const noexcept { return fs_; }

    [[nodiscard]] Place find(std::uint64_t number) const noexcept {
        const Guard guard{writer_};
        return index_.find(number);
    }
    /// Returns the first operation that is in a file, acknowledged or not.
    [[nodiscard]] std::uint64_t first_kept() const noexcept {
        const Guard guard{writer_};
        return index_.first().header.first;
    }
    /// Returns the file of a segment.   Pre: the segment exists.
    [[nodiscard]] FileIdentity file_of(std::uint64_t segment) const noexcept {
        const Guard guard{writer_};
        return index_.at(segment).file;
    }
    /// Returns no error if the last segment's file is at its path.   Errors: those of look_for.
    [[nodiscard]] std::error_code look_for_last() const {
        const auto [index, file] = [this] {
            const Guard guard{writer_};
            return ReleasedFile{index_.last().header.index, index_.last().file};
        }();
        return look_for(fs_, Files::path_of(path_, index), file);
    }
    /// Returns how far a segment can be read from its file.   Pre: the segment exists.
    [[nodiscard]] std::uint32_t written_end(std::uint64_t segment) const noexcept {
        const Guard guard{writer_};
        return is_last(segment) ? writer_.written_offset() : index_.at(segment).end;
    }
    /// Returns the end of the records of a segment, written or not.
    [[nodiscard]] std::uint32_t records_end(std::uint64_t segment) const noexcept {
        const Guard guard{writer_};
        return is_last(segment) ? writer_.end_offset() : index_.at(segment).end;
    }
    /// Copies at most `bytes` of the unwritten bytes of the last segment, from `offset` on.
    ///
    /// Returns false if they were written in the meantime.   Throws: std::bad_alloc.
    [[nodiscard]] bool copy_unwritten(std::uint64_t segment, std::uint32_t offset,
                                      std::size_t bytes, Bytes& into) const {
        into.resize(bytes);
        const Guard guard{writer_};
        return is_last(segment) && writer_.copy_unwritten(offset, into);
    }

private:
    using Writer = GroupWriter<PlacedFile<FileSystem>>;
    using Guard = typename Writer::Guard;
    using Files = SegmentFiles<FileSystem>;
    using Kind = journal_format::Kind;

    static constexpr std::size_t buffer_bytes = std::size_t{256} << 10;

    bool is_last(std::uint64_t segment) const noexcept {
        return segment == index_.last().header.index;
    }
    std::size_t segment_bytes() const noexcept {
        const std::uint32_t own = index_.last().header.segment_bytes;
        return own != 0 ? own : options_.segment_bytes;
    }

    static constexpr std::uint64_t acks_per_note = 1024;
    static constexpr std::size_t files_per_call = 16;
    static constexpr std::size_t all_files = ~std::size_t{0};

    /// Returns the failure of the writer, after an attempt to end it. Unlocks.
    std::error_code recover() {
        const bool stops = options_.after_failure == JournalOptions::AfterFailure::stops;
        return stops || !writer_.failed() ? writer_.failed() : writer_.recover();
    }

    /// Returns whether the segment has space for a record with `length` bytes of payload and for
    /// its seal. Records of some kinds must also leave bytes to others.
    bool segment_has_space(std::size_t length, Kind kind) const noexcept {
        const std::size_t seal = index_.last().seal_bytes(kind == Kind::opening ? 1 : 0,
                                                          kind == Kind::operation ? 1 : 0);
        const bool frees = index_.first_ends_by(acked()) || acked() == last();
        const std::size_t behind = left_to_others(kind, frees) + seal;
        return writer_.end_offset() + journal_format::record_bytes(length) + behind <=
               segment_bytes();
    }
    bool has_space(std::size_t length, Kind kind) const noexcept {
        return writer_.has_space(journal_format::record_bytes(length)) &&
               segment_has_space(length, kind);
    }
    /// Makes space for a record in the buffer and in the segment. Unlocks.
    std::error_code make_space(std::size_t length, Kind kind) {
        for (;;) {
            if (writer_.failed()) return writer_.failed();
            if (has_space(length, kind)) return {};
            if (writer_.writing()) {
                writer_.wait_for_writer();
            } else if (const std::error_code error =
                           segment_has_space(length, kind) ? writer_.flush(false) : roll(run_)) {
                return error;
            }
        }
    }

    /// Notes the acknowledged number in a record, or in the header of a new segment. Unlocks.
    std::error_code note_ack() {
        if (acked_noted_ == acked()) return {};
        const std::error_code error = make_space(0, Kind::ack);
        // Another thread may have made a new segment meanwhile.
        if (error || acked_noted_ == acked()) return error;
        acked_noted_ = acked();
        writer_.put(Kind::ack, acked_noted_, {}, 0);
        return {};
    }

    /// Writes everything and, if `to_disk`, flushes it. Unlocks.
    std::error_code write_all(bool to_disk) {
        const std::uint64_t noted = acked_noted_;
        const std::error_code error = writer_.write_all(to_disk);
        if (!error) acked_durable_ = larger(acked_durable_, noted);
        return error;
    }

    /// Continues in a new segment. Unlocks.   Pre: no thread writes.
    ///
    /// The order makes every crash readable. The new file is complete and has its name before the
    /// old one is sealed, and gets its first record afterwards. So an unsealed segment followed by
    /// an empty one is a crash, and anything else is damage.
    std::error_code roll(Run run) {
        writer_.begin_exclusive();
        const Segment& old = index_.last();
        const Bytes seal = journal_format::encode_seal(old.check, old.openings, old.marks);
        Segment next = old.next();
        next.header.acked = acked();
        next.header.pin = pin_;
        next.header.run = run.number;
        next.header.salt = run.salt;
        next.header.nonce = static_cast<std::uint32_t>(bits_());
        next.header.previous_seal = writer_.end_offset();
        writer_.unlock();
        next.reserve(options_.segment_bytes);
        bool fatal = false;
        const std::error_code lost = writer_.look_exclusively();
        Result<File> file =
            lost ? lost : Files::make(fs_, path_, next.header, note_, options_.segment_bytes);
        std::error_code error = file.error();
        if (!error) error = next.know_file(*file);
        if (!error) {
            error = fs_.sync_directory(path_);
            // If the directory could not be opened, nothing was synced, and the next attempt makes
            // the file and its name again.
            fatal = error && !is_refused_open(error);
        }
        if (!error) error = writer_.finish_file(seal, fatal);
        writer_.relock();
        if (!error) {
            next.end = next.header.made_bytes;
            index_.last().end =
                next.header.previous_seal +
                static_cast<std::uint32_t>(journal_format::record_bytes(seal.size()));
            acked_noted_ = next.header.acked;
            index_.add(std::move(next));
            const std::string name = Files::path_of(path_, index_.last().header.index);
            writer_.replace_file({fs_, std::move(*file), index_.last().file, name},
                                 index_.last().end, {index_.last().header.nonce, run.number});
        }
        writer_.end_exclusive(fatal ? error : std::error_code{});
        // Only here are undeleted files tried again, so a disk that does not answer for one of them
        // delays the journal at most once for each new file. Without space for the new file they
        // may be the only way to get some.
        if (!error || is_lack_of_space(error)) {
            static_cast<void>(remove_files(files_per_call, true));
        }
        return error;
    }

    /// Makes acknowledgements durable, releases the segments that they cover, and then deletes at
    /// most `max` of their files. Unlocks.
    std::error_code release(std::size_t max) {
        std::error_code error = note_ack();
        if (!error) error = write_all(true);
        release_failed_ = static_cast<bool>(error);
        if (error) return error;
        index_.give_up(acked_durable_);
        return remove_files(max);
    }

    /// Deletes files of released segments, and leaves the rest to later calls, because each
    /// deletion takes time. A crash may leave any of them; the next opening removes those. Unlocks.
    ///
    /// A file that cannot be deleted is set apart, and its error is returned only by this call.
    /// With `again`, files that are set apart are tried too: in turn, until one fails again. At
    /// opening all of them are tried.
    std::error_code remove_files(std::size_t max, bool again = false) {
        const std::size_t retries = again ? smaller(undeleted_.size(), max) : 0;
        if ((index_.given_up() == 0 && retries == 0) || removing_) return {};
        removing_ = true;
        std::error_code error = writer_.look();
        if (!error) {
            std::vector<ReleasedFile> files = index_.take_released(max);
            const auto end = undeleted_.begin() + static_cast<std::ptrdiff_t>(retries);
            std::vector<ReleasedFile> earlier{undeleted_.begin(), end};
            const std::size_t count = files.size() + retries;
            writer_.unlock();
            error = Files::remove(fs_, path_, id_, files, false);
            if (Files::remove(fs_, path_, id_, earlier, max != all_files)) {
                earlier.push_back(earlier.front());
                earlier.erase(earlier.begin());
            }
            if (files.size() + earlier.size() != count) {
                const std::error_code unsynced = fs_.sync_directory(path_);
                if (!error) error = unsynced;
            }
            writer_.relock();
            undeleted_.erase(undeleted_.begin(), end);
            undeleted_.insert(undeleted_.end(), earlier.begin(), earlier.end());
            undeleted_.insert(undeleted_.end(), files.begin(), files.end());
        }
        removing_ = false;
        return error;
    }

    FileSystem& fs_;
    const std::string path_;
    const JournalOptions options_;
    Lock lock_;
    const Id id_;

    // Protected by the writer's lock.
    SegmentIndex index_;
    Run run_;
    Id pin_;
    Bytes note_;
    Random bits_;
    std::vector<ReleasedFile> undeleted_;  // files that could not be deleted
    std::atomic<std::uint64_t> acked_;
    std::uint64_t acked_noted_;    // its value in the last record or header that has it
    std::uint64_t acked_durable_;  // its value that the last commit made durable
    bool removing_ = false;        // a thread deletes files
    bool release_failed_ = false;  // the last acknowledgement that ended a file is not durable
    mutable Writer writer_;
};

}}}  // namespace belay::detail
