// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_files.hpp
/// Segment and SegmentIndex: the positions of operations in the files, at a quarter of a byte each.
/// SegmentFiles: creates segment files that are complete as soon as they have their names, and
/// deletes them.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move
#include <vector>   // std::vector

#include <belay/core/order.hpp>
#include <belay/journal/advised_error.hpp>
#include <belay/journal/detail/file_window.hpp>
#include <belay/journal/detail/record_buffer.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using journal_format::Mark;
using journal_format::Opening;
using journal_format::operations_per_mark;

/// Adds a run. A previous run that appended nothing is removed.
inline void add_opening(std::vector<Opening>& openings, const Opening& opening) {
    if (!openings.empty() && openings.back().first == opening.first) openings.pop_back();
    openings.push_back(opening);
}

/// Returns the space at the end of a segment that a record must leave to others. On a full disk,
/// records that free space, and openings, must find some after acknowledgements.
[[nodiscard]] constexpr std::size_t left_to_others(journal_format::Kind kind, bool frees) noexcept {
    using journal_format::Kind;
    constexpr std::size_t all = journal_format::reserve_bytes;
    if (kind == Kind::operation || kind == Kind::note) return all;
    if (kind != Kind::ack) return 0;
    return frees ? all / 2 : all * 3 / 4;
}

/// The facts that are known about a segment without reading it.
struct Segment {
    journal_format::SegmentHeader header;
    FileIdentity file{};      // that has its records; a copy of it has another identity
    std::uint64_t last = 0;   // its last operation; header.first - 1 if it has none
    std::uint64_t check = 0;  // at `last`
    std::uint32_t end = 0;    // the position of its next record
    // The position of the older of two openings at its end, or of the rest of it; 0: none.
    std::uint32_t older_opening = 0;
    // Everything below was on the medium when its last record was made. Set for scanned segments.
    std::uint32_t durable = journal_format::segment_header_bytes;
    std::vector<Mark> marks;
    std::vector<Opening> openings;  // of the last segment only: its seal will need them

    /// Stores the identity of its file.   Errors: those of File::identity.
    template <class File>
    [[nodiscard]] std::error_code know_file(const File& opened) noexcept {
        const Result<FileIdentity> identity = opened.identity();
        if (identity) file = *identity;
        return identity.error();
    }
    /// Records the next operation, at `offset`. Does not allocate after `reserve`.
    void add(std::uint64_t number, std::uint32_t offset) {
        if ((number - header.first) % operations_per_mark == 0) marks.push_back({check, offset});
        last = number;
    }
    /// Reserves capacity for the marks of a file of `bytes` bytes with only empty operations.
    void reserve(std::size_t bytes) {
        const std::uint64_t least = journal_format::record_header_bytes * operations_per_mark;
        marks.reserve(static_cast<std::size_t>(bytes / least) + 1);
    }
    /// Records a run that begins after the last operation.
    void open_run(std::uint32_t run, std::uint32_t salt) {
        add_opening(openings, {last + 1, run, salt});
    }
    /// Returns a segment that continues after its last operation.
    [[nodiscard]] Segment next() const {
        Segment next;
        next.header = header;
        next.header.index = header.index + 1;
        next.header.first = last + 1;
        next.header.check = next.check = check;
        next.last = last;
        return next;
    }
    /// Returns the bytes of its seal's record if that many openings and marks are added before it.
    [[nodiscard]] std::size_t seal_bytes(std::size_t more_openings,
                                         std::size_t more_marks) const noexcept {
        return journal_format::record_bytes(journal_format::seal_payload_bytes(
            openings.size() + more_openings, marks.size() + more_marks));
    }
    [[nodiscard]] std::uint64_t records_bytes() const noexcept {
        return end - journal_format::segment_header_bytes;
    }
};

/// Where to search for an operation: a mark at or before it.
struct Place {
    std::uint64_t segment = 0;  // index of the file; 0: no file has it
    std::uint32_t nonce = 0;    // of that segment
    std::uint64_t number = 0;   // of the operation at `mark`
    std::uint64_t last = 0;     // of the last operation before the next mark
    Mark mark{};
    std::uint32_t next_mark = 0;  // its position; 0: the segment ends before
    bool check_is_known = false;  // whether the check at the number needs no walk
    std::uint64_t check = 0;
};

/// The file of a segment that is no longer needed.
struct ReleasedFile {
    std::uint64_t index = 0;
    FileIdentity file{};  // zeros: unknown
};

/// The segments whose files are still to be deleted, and the needed ones, in order.
class SegmentIndex {
public:
    /// Pre: at least one segment; each continues where the one before it ends.
    explicit SegmentIndex(std::vector<Segment> segments) noexcept : segments_{std::move(segments)} {
        for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
            sealed_bytes_ += segments_[i].records_bytes();
        }
    }

    [[nodiscard]] Place find(std::uint64_t number) const noexcept {
        Place place;
        const std::size_t behind = first_after(
            segments_, [number](const Segment& segment) { return segment.header.first <= number; });
        if (behind <= given_up_) {
            // The header of the first segment has the check at the end of the segment before it.
            place.check_is_known = number + 1 == first().header.first;
            place.check = first().header.check;
            return place;
        }
        const Segment* const s = &segments_[behind - 1];
        place.check_is_known = number == s->last;
        place.check = s->check;
        if (number > s->last) return place;
        const std::uint64_t i = (number - s->header.first) / operations_per_mark;
        place.segment = s->header.index;
        place.nonce = s->header.nonce;
        place.number = s->header.first + i * operations_per_mark;
        place.last = smaller(place.number + (operations_per_mark - 1), s->last);
        place.mark = s->marks[static_cast<std::size_t>(i)];
        if (i + 1 < s->marks.size()) {
            place.next_mark = s->marks[static_cast<std::size_t>(i + 1)].offset;
        }
        return place;
    }

    [[nodiscard]] Segment& last() noexcept { return segments_.back(); }
    [[nodiscard]] const Segment& last() const noexcept { return segments_.back(); }
    /// Returns the first segment that was not released.
    [[nodiscard]] const Segment& first() const noexcept { return segments_[given_up_]; }
    /// Returns a segment.   Pre: the segment exists.
    [[nodiscard]] const Segment& at(std::uint64_t index) const noexcept {
        return segments_[static_cast<std::size_t>(index - first_file())];
    }
    /// Returns the bytes of the records in all files except the last.
    [[nodiscard]] std::uint64_t sealed_bytes() const noexcept { return sealed_bytes_; }
    /// Adds a segment after the last one, which is sealed at its `end`.
    void add(Segment segment) {
        Segment& sealed = segments_.back();
        sealed.openings = {};
        sealed.marks.shrink_to_fit();
        sealed_bytes_ += sealed.records_bytes();
        segments_.push_back(std::move(segment));
    }
    /// Returns the bytes of the records in the segments that end by `number` and are not released,
    /// except the last one.   Complexity: O(such segments).
    [[nodiscard]] std::uint64_t bytes_ending_by(std::uint64_t number) const noexcept {
        std::uint64_t bytes = 0;
        for (std::size_t i = given_up_; i + 1 < segments_.size(); ++i) {
            if (segments_[i].last > number) break;
            bytes += segments_[i].records_bytes();
        }
        return bytes;
    }
    /// Releases the segments that end by `number`, except the last one. Their files still exist.
    void give_up(std::uint64_t number) noexcept {
        while (first_ends_by(number)) ++given_up_;
    }
    /// Returns how many released segments are still here. The first of them is `first_file`.
    [[nodiscard]] std::size_t given_up() const noexcept { return given_up_; }
    [[nodiscard]] std::uint64_t first_file() const noexcept {
        return segments_.front().header.index;
    }
    /// Removes the first released segments, at most `max`, and returns their files.
    [[nodiscard]] std::vector<ReleasedFile> take_released(std::size_t max) {
        const std::size_t count = smaller(given_up_, max);
        std::vector<ReleasedFile> files(count);
        for (std::size_t i = 0; i < count; ++i) {
            files[i] = {segments_[i].header.index, segments_[i].file};
            sealed_bytes_ -= segments_[i].records_bytes();
        }
        segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(count));
        given_up_ -= count;
        return files;
    }
    [[nodiscard]] bool first_ends_by(std::uint64_t number) const noexcept {
        return segments_.size() - given_up_ > 1 && first().last <= number;
    }

private:
    std::vector<Segment> segments_;
    std::size_t given_up_ = 0;  // from the front
    std::uint64_t sealed_bytes_ = 0;
};

/// An open file, and the name by which the next opening must find it.
template <class S>
class PlacedFile {
public:
    using FileSystem = S;
    using File = typename S::File;

    PlacedFile(FileSystem& fs, File file, const FileIdentity& identity, std::string path) noexcept
        : fs_{&fs}, file_{std::move(file)}, path_{std::move(path)}, identity_{identity} {}

    /// Calls `look_for`.
    [[nodiscard]] std::error_code look() const noexcept { return look_for(*fs_, path_, identity_); }
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        return file_.read(offset, into);
    }
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from) noexcept {
        return file_.write(offset, from);
    }
    [[nodiscard]] std::error_code sync() noexcept { return file_.sync(); }
    /// The same, and measures how long it took if the file system has a clock.
    [[nodiscard]] std::error_code sync(Duration& taken) noexcept {
        if constexpr (GivesWay<S>) {
            const Instant begin = fs_->now();
            const std::error_code error = file_.sync();
            taken = elapsed(begin, fs_->now());
            return error;
        } else {
            return file_.sync();
        }
    }
    [[nodiscard]] FileSystem& file_system() const noexcept { return *fs_; }
    /// Closes the file, and opens it again.   Errors: as `look`; those of opening and locking.
    [[nodiscard]] std::error_code reopen() noexcept {
        Result<File> file = fs_->open(path_, OpenMode::write);
        if (!file) return displaced_if_gone(file.error());
        const Result<FileIdentity> identity = file->identity();
        if (!identity) return identity.error();
        if (*identity != identity_) return QueueErrc::displaced;
        file_ = std::move(*file);  // closes the former one, which has the lock
        return file_.lock();
    }

private:
    FileSystem* fs_;
    File file_;
    std::string path_;
    FileIdentity identity_;
};

/// Creates a file under another name, and renames it when it is on the medium. Deletes only files
/// of the journal.
template <class FileSystem>
class SegmentFiles {
public:
    using File = typename FileSystem::File;

    [[nodiscard]] static std::string path_of(const std::string& directory, std::uint64_t index) {
        return directory + '/' + journal_format::segment_name(index);
    }

    /// Returns a path that is independent of later changes of the working directory.
    static Result<std::string> absolute(FileSystem& fs, const std::string& path) {
        if constexpr (HasAbsolutePaths<FileSystem>) {
            return fs.absolute(path);
        } else {
            return path;
        }
    }

    /// Creates the file of a new segment, with its header and the kept note. Its name is not
    /// durable yet.
    ///
    /// Sets `header.segment_bytes` and `made_bytes` to their actual values. After an error there is
    /// no such file.
    /// Pre: no other thread creates a segment in this directory.   Throws: std::bad_alloc.
    static Result<File> make(FileSystem& fs, const std::string& directory,
                             journal_format::SegmentHeader& header, BytesView note,
                             std::size_t bytes) {
        const std::string unfinished =
            directory + '/' + std::string{journal_format::unfinished_name};
        const std::string path = path_of(directory, header.index);
        Result<File> file = write(fs, unfinished, header, note, bytes);
        std::error_code error = file.error();
        if (!error) error = fs.rename(unfinished, path);
        if (error) {
            static_cast<void>(fs.remove(unfinished));  // else the next opening removes it
            return error;
        }
        return file;
    }

    /// Writes again the bytes that are not known to be on the medium. After a failed flush, systems
    /// mark unwritten bytes in their memory as clean, and the next flush leaves them out.
    ///
    /// If there is no space, the function succeeds, and adds the bytes that it has not written to
    /// `unwritten`. Most file systems need no space for this, because existing bytes keep their
    /// place.
    static std::error_code write_again(File& file, const Segment& segment, FileWindow& window,
                                       std::uint64_t& unwritten) {
        constexpr std::size_t piece = std::size_t{64} << 10;
        window.forget();
        for (std::uint64_t at = segment.durable; at < segment.end;) {
            const Result<BytesView> bytes = window.view(file, at, piece, segment.end);
            if (!bytes) return bytes.error();
            if (bytes->empty()) return std::make_error_code(std::errc::io_error);
            const std::error_code code = file.write(at, *bytes);
            if (is_lack_of_space(code)) {
                unwritten += segment.end - at;
                return {};
            }
            if (code) return code;
            at += bytes->size();
        }
        return {};
    }

    /// Deletes files of the journal, and leaves in `files` those that could not be deleted. If
    /// `stops`, it tries no more of them after the first error. The next call of sync_directory
    /// makes the deletions durable.
    ///
    /// Returns the first error.   Pre: the directory is the journal's.
    static std::error_code remove(FileSystem& fs, const std::string& directory, const Id& journal,
                                  std::vector<ReleasedFile>& files, bool stops) {
        std::error_code first;
        std::size_t left = 0;
        for (const ReleasedFile file : files) {
            const bool tries = !stops || !first;
            const std::error_code error =
                tries ? remove(fs, directory, journal, file) : std::error_code{};
            if (!tries || error) files[left++] = file;
            if (!first) first = error;
        }
        files.resize(left);
        return first;
    }

    /// Returns no error if the file with a segment's name belongs to the journal, damaged or not.
    static std::error_code find(FileSystem& fs, const std::string& directory, const Id& journal,
                                std::uint64_t index) {
        using namespace journal_format;
        const Result<File> file = fs.open(path_of(directory, index), OpenMode::read);
        if (!file) return file.error();
        SegmentHeaderBytes bytes{};
        const Result<std::size_t> got = file->read(0, bytes);
        if (!got) return got.error();
        const Result<SegmentHeader> there = decode_segment_header({bytes.data(), *got});
        const bool own = there ? there->journal == journal : there.error() == QueueErrc::corrupt;
        return own ? std::error_code{} : make_error_code(QueueErrc::foreign_file);
    }

private:
    /// Deletes a file if it belongs to the journal. If its header cannot be read, it must be the
    /// very file that this process had opened.
    static std::error_code remove(FileSystem& fs, const std::string& directory, const Id& journal,
                                  const ReleasedFile& file) {
        const std::string path = path_of(directory, file.index);
        std::error_code error = find(fs, directory, journal, file.index);
        const bool is_known = error != QueueErrc::foreign_file && file.file != FileIdentity{};
        if (error && is_known && !look_for(fs, path, file.file)) error = {};
        if (!error) error = fs.remove(path);
        return error == std::errc::no_such_file_or_directory ? std::error_code{} : error;
    }
    static Result<File> write(FileSystem& fs, const std::string& path,
                              journal_format::SegmentHeader& header, BytesView note,
                              std::size_t bytes) {
        using namespace journal_format;
        Result<File> file = fs.open(path, OpenMode::replace);
        if (!file) return file;
        // Locked while it is written to. A process may pass the journal's own lock, for example
        // because its file was deleted, but it does not pass this one.
        std::error_code error = file->lock();
        header.segment_bytes = 0;
        header.made_bytes = segment_header_bytes;
        RecordBuffer record{record_bytes(note_bytes_max)};
        if (!note.empty()) {
            RecordHeader h;
            h.kind = Kind::note;
            h.run = run_in_record(header.run);
            record.put(h, note, part::crc32c(note),
                       record_seed(header.nonce, segment_header_bytes));
            header.made_bytes += static_cast<std::uint32_t>(record.size());
        }
        if constexpr (FileCanPreallocate<File>) {
            if (!error) error = file->preallocate(bytes);
            header.segment_bytes = static_cast<std::uint32_t>(bytes);
        }
        if (!error) error = file->write(0, encode(header));
        if (!error && !note.empty()) error = file->write(segment_header_bytes, record.bytes());
        if (!error) error = file->sync();
        if (error) return error;
        return file;
    }
};

}}}  // namespace belay::detail
