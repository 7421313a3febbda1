// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_state.hpp
/// JournalState: the state of an open journal, which its writing side changes and its reading side
/// queries.
#pragma once

#include <atomic>  // std::atomic

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/detail/group_writer.hpp>
#include <belay/journal/detail/journal_scan.hpp>
#include <belay/journal/detail/segment_files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The numbers, the segments and the writer of the last segment of a JournalLog.
///
/// Thread safety: any thread, except functions marked "Owner": one thread at a time.
template <class FileSystem>
class JournalState : public detail::Counted {
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

    JournalState(FileSystem& fs, std::string path, const JournalOptions& options, Start start)
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
                  options.flush} {
        index_.last().reserve(segment_bytes());
        note_.reserve(journal_format::note_bytes_max);
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

protected:
    using Writer = GroupWriter<PlacedFile<FileSystem>>;
    using Guard = typename Writer::Guard;
    using Files = SegmentFiles<FileSystem>;

    static constexpr std::size_t buffer_bytes = std::size_t{256} << 10;

    bool is_last(std::uint64_t segment) const noexcept {
        return segment == index_.last().header.index;
    }
    std::size_t segment_bytes() const noexcept {
        const std::uint32_t own = index_.last().header.segment_bytes;
        return own != 0 ? own : options_.segment_bytes;
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
