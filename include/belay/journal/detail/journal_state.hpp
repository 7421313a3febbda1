// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_state.hpp
/// JournalState: what there is of an open journal, and where; what its writing side changes, and
/// its reading side asks for.
#pragma once

#include <atomic>  // std::atomic

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/detail/group_writer.hpp>
#include <belay/journal/detail/journal_scan.hpp>
#include <belay/journal/detail/segment_files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Numbers, segments and the writer of the last one, of a JournalLog.
///
/// Thread safety: any thread, but for what says "owner": one thread at a time.
template <class FileSystem>
class JournalState : public detail::Counted {
public:
    using File = typename FileSystem::File;
    using Lock = typename FileSystem::Lock;

    /// Who writes: the number of the run, and its salt.
    struct Run {
        std::uint32_t number;
        std::uint32_t salt;
    };
    /// What opening a journal leaves to the writing side.
    struct Start {
        Lock lock;
        File file;  // the last segment, for writing
        std::vector<Segment> segments;
        const Gathered& gathered;
        Random bits;
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
    [[nodiscard]] std::error_code failed() const noexcept {
        const Guard guard{writer_};
        return writer_.failed();
    }
    [[nodiscard]] const JournalOptions& options() const noexcept { return options_; }
    [[nodiscard]] const Id& journal_id() const noexcept { return id_; }
    [[nodiscard]] const Id& store_pin() const noexcept { return pin_; }
    /// Owner.
    [[nodiscard]] BytesView kept() const noexcept { return note_; }
    [[nodiscard]] bool unflushed() const noexcept {
        const Guard guard{writer_};
        return writer_.unflushed();
    }
    /// The bytes of the records in all files, written or not.
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        const Guard guard{writer_};
        return index_.sealed_bytes() +
               (writer_.end_offset() - journal_format::segment_header_bytes);
    }
    [[nodiscard]] std::uint32_t run() const noexcept { return run_.number; }
    [[nodiscard]] std::uint32_t salt() const noexcept { return run_.salt; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] FileSystem& file_system() const noexcept { return fs_; }

    [[nodiscard]] Place find(std::uint64_t number) const noexcept {
        const Guard guard{writer_};
        return index_.find(number);
    }
    /// The first operation that is in a file, acknowledged or not.
    [[nodiscard]] std::uint64_t first_kept() const noexcept {
        const Guard guard{writer_};
        return index_.first().header.first;
    }
    /// The file of a segment.   Pre: the segment is there.
    [[nodiscard]] FileIdentity file_of(std::uint64_t segment) const noexcept {
        const Guard guard{writer_};
        return index_.at(segment).file;
    }
    /// How far a segment can be read from its file.   Pre: the segment is there.
    [[nodiscard]] std::uint32_t written_end(std::uint64_t segment) const noexcept {
        const Guard guard{writer_};
        return is_last(segment) ? writer_.written_offset() : index_.at(segment).end;
    }
    /// Where the records of a segment end, written or not.
    [[nodiscard]] std::uint32_t records_end(std::uint64_t segment) const noexcept {
        const Guard guard{writer_};
        return is_last(segment) ? writer_.end_offset() : index_.at(segment).end;
    }
    /// Copies what is not written yet of the last segment, from `offset` on, up to `bytes`.
    ///
    /// Returns false if it was written in the meantime.   Throws: std::bad_alloc.
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

    // Guarded by the writer's lock.
    SegmentIndex index_;
    Run run_;
    Id pin_;
    Bytes note_;
    Random bits_;
    std::atomic<std::uint64_t> acked_;
    std::uint64_t acked_noted_;    // what the last record, or header, of it says
    std::uint64_t acked_durable_;  // what the last commit made durable of it
    bool removing_ = false;        // a thread deletes files
    mutable Writer writer_;
};

}}}  // namespace belay::detail
